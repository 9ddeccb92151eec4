/* gforkerror.c: the error domain
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkerror.h"
#include "gforktemplate.h"
#include "wire/frame.h"

#include <glib/gi18n-lib.h>

/* The numbers go over the wire. */
G_STATIC_ASSERT ((int) G_FORK_ERROR_FAILED == (int) GFORK_CODE_FAILED);
G_STATIC_ASSERT ((int) G_FORK_ERROR_SPAWN == (int) GFORK_CODE_SPAWN);
G_STATIC_ASSERT ((int) G_FORK_ERROR_FORK == (int) GFORK_CODE_FORK);
G_STATIC_ASSERT ((int) G_FORK_ERROR_THREADED == (int) GFORK_CODE_THREADED);
G_STATIC_ASSERT ((int) G_FORK_ERROR_MODULE == (int) GFORK_CODE_MODULE);
G_STATIC_ASSERT ((int) G_FORK_ERROR_FUNCTION == (int) GFORK_CODE_FUNCTION);
G_STATIC_ASSERT ((int) G_FORK_ERROR_CALL == (int) GFORK_CODE_CALL);
G_STATIC_ASSERT ((int) G_FORK_ERROR_EXEC == (int) GFORK_CODE_EXEC);
G_STATIC_ASSERT ((int) G_FORK_ERROR_LOST == (int) GFORK_CODE_LOST);
G_STATIC_ASSERT ((int) G_FORK_ERROR_PROTOCOL == (int) GFORK_CODE_PROTOCOL);
G_STATIC_ASSERT ((int) G_FORK_ERROR_NOT_SUPPORTED == (int) GFORK_CODE_NOT_SUPPORTED);
G_STATIC_ASSERT ((int) G_FORK_ERROR_CLOSED == (int) GFORK_CODE_CLOSED);

G_STATIC_ASSERT ((int) G_FORK_LIMIT_CPU_TIME == (int) GFORK_RESOURCE_CPU_TIME);
G_STATIC_ASSERT ((int) G_FORK_LIMIT_MEMORY == (int) GFORK_RESOURCE_MEMORY);
G_STATIC_ASSERT ((int) G_FORK_LIMIT_FILE_SIZE == (int) GFORK_RESOURCE_FILE_SIZE);
G_STATIC_ASSERT ((int) G_FORK_LIMIT_OPEN_FILES == (int) GFORK_RESOURCE_OPEN_FILES);
G_STATIC_ASSERT ((int) G_FORK_LIMIT_PROCESSES == (int) GFORK_RESOURCE_PROCESSES);
G_STATIC_ASSERT ((int) G_FORK_LIMIT_CORE == (int) GFORK_RESOURCE_CORE);

G_STATIC_ASSERT ((int) G_FORK_EXEC_SOCKET_STDIN == (int) GFORK_EXEC_SOCKET_STDIN);
G_STATIC_ASSERT ((int) G_FORK_EXEC_SOCKET_STDOUT == (int) GFORK_EXEC_SOCKET_STDOUT);
G_STATIC_ASSERT ((int) G_FORK_EXEC_SOCKET_STDERR == (int) GFORK_EXEC_SOCKET_STDERR);
G_STATIC_ASSERT ((int) G_FORK_EXEC_SEARCH_PATH == (int) GFORK_EXEC_SEARCH_PATH);
G_STATIC_ASSERT ((int) G_FORK_EXEC_STDERR_MERGE == (int) GFORK_EXEC_STDERR_MERGE);

G_DEFINE_QUARK (g-fork-error-quark, g_fork_error)

/* Errors come from everywhere, before any class is initialised. */
__attribute__ ((constructor)) static void
bind_text_domain (void)
{
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
}

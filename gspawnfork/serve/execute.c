/* execute.c: execve() with a search in PATH, scripts without #!, and reasons that users can act on
 *
 * Nothing here allocates memory or changes the environment, so that it can be called where
 * the memory is another process's.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHELL "/bin/sh"
#define DEFAULT_PATH "/bin:/usr/bin"

/* The kernel itself looks at no more of a first line. */
#define MAX_FIRST_LINE 256

/* Reads the beginning of a file, up to the end of its first line. Returns its length; -1
 * if it cannot be read. */
static ssize_t
read_first_line (const char *path,
                 char        line[MAX_FIRST_LINE])
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t n;
  char *end;

  if (fd < 0)
    return -1;

  n = read (fd, line, MAX_FIRST_LINE);
  close (fd);
  end = n > 0 ? memchr (line, '\n', n) : NULL;
  return end != NULL ? end - line : n;
}

/* Executes a file. If the kernel does not know its format, and it looks like text, it is a
 * script for the shell. Returns only if it fails, with errno set. */
static void
execute_file (const char *path,
              char      **argv,
              char      **envp,
              char      **shell_argv)
{
  char line[MAX_FIRST_LINE];
  ssize_t length;
  size_t n = 0;

  execve (path, argv, envp);
  if (errno != ENOEXEC)
    return;

  length = read_first_line (path, line);
  if (length < 0 || memchr (line, '\0', length) != NULL)
    {
      errno = ENOEXEC;
      return;
    }

  shell_argv[n++] = (char *) SHELL;
  shell_argv[n++] = (char *) path;
  for (char **arg = argv + 1; argv[0] != NULL && *arg != NULL; arg++)
    shell_argv[n++] = *arg;
  shell_argv[n] = NULL;
  execve (SHELL, shell_argv, envp);
  errno = ENOEXEC;
}

/* Returns the value of PATH. After clearenv() there is no array. */
static const char *
find_path (char **envp)
{
  for (; envp != NULL && *envp != NULL; envp++)
    if (strncmp (*envp, "PATH=", 5) == 0)
      return *envp + 5;

  return DEFAULT_PATH;
}

/* Executes the program argv[0]. @shell_argv has space for two strings more than @argv. Returns
 * only if it fails, with errno set and the path that errno is about in @path. */
void
gfork_execute (char  **argv,
               char  **envp,
               bool    search,
               char  **shell_argv,
               char    path[PATH_MAX])
{
  const char *program = argv[0];
  const char *directory = find_path (envp);
  bool may_not = false;

  snprintf (path, PATH_MAX, "%s", program);
  if (!search || strchr (program, '/') != NULL || program[0] == '\0')
    {
      execute_file (program, argv, envp, shell_argv);
      return;
    }

  for (;;)
    {
      size_t length = strcspn (directory, ":");
      int n = snprintf (path, PATH_MAX, "%.*s%s%s", (int) length, directory,
                        length > 0 ? "/" : "", program);

      errno = ENAMETOOLONG;
      if (n < PATH_MAX)
        execute_file (path, argv, envp, shell_argv);
      /* A file that cannot be found here may be in another directory. If it is here, it is the
       * one that is meant. */
      if (errno == EACCES)
        may_not = true;
      else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG && errno != ESTALE
               && errno != ENODEV && errno != ETIMEDOUT)
        return;
      else if (errno == ENOENT && n < PATH_MAX && access (path, X_OK) == 0)
        {
          errno = ENOENT; /* of the interpreter that it needs */
          return;
        }

      if (directory[length] == '\0')
        break;
      directory += length + 1;
    }

  snprintf (path, PATH_MAX, "%s", program);
  errno = may_not ? EACCES : ENOENT;
}

/* Says why a file could not be executed. If it is there and may be executed, the kernel
 * means the interpreter in its first line. */
void
gfork_execute_describe (const char *path,
                        int         error_number,
                        char       *reason,
                        size_t      reason_size)
{
  char line[MAX_FIRST_LINE] = "";
  ssize_t length = -1;
  size_t start, end;

  if ((error_number == ENOENT || error_number == EACCES || error_number == ENOTDIR
       || error_number == ELOOP || error_number == ENOEXEC)
      && strchr (path, '/') != NULL && access (path, X_OK) == 0)
    length = read_first_line (path, line);
  if (length < 2 || line[0] != '#' || line[1] != '!')
    {
      snprintf (reason, reason_size, "%s", strerror (error_number));
      return;
    }

  for (start = 2; start < (size_t) length && (line[start] == ' ' || line[start] == '\t'); start++)
    ;
  for (end = start; end < (size_t) length && line[end] != ' ' && line[end] != '\t'; end++)
    /* The line may end with a carriage return. */
    if ((unsigned char) line[end] < ' ')
      line[end] = '?';

  snprintf (reason, reason_size, "%s" GFORK_DETAIL "%.*s" GFORK_DETAIL "%s",
            N_("the interpreter in its first line cannot be executed"), (int) (end - start),
            line + start, strerror (error_number));
}

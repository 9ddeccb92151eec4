/* signals.h: how signals are handled in the template process and in what it forks
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "serve/serve.h"

#include <signal.h>
#include <stdbool.h>

/* What a worker starts with, and what code of modules has changed */
struct gfork_signals
{
  bool of_interpreter;
  sigset_t ignored; /* from the start */
  sigset_t changed; /* have other handlers than the default ones */
};

void gfork_signals_drop_handlers (void);
void gfork_signals_begin (struct gfork_signals *signals,
                          bool                  of_interpreter);
void gfork_signals_block (void);
void gfork_signals_enter_module (void);
void gfork_signals_leave_module (void);
void gfork_signals_look (struct gfork_signals *signals);
void gfork_signals_restore (const struct gfork_signals *signals,
                            bool                        for_program);

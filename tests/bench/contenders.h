/* contenders.h: measures the ways to make a process side by side
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gspawnfork/gspawnfork.h>

G_BEGIN_DECLS

/* What is launched. */
typedef struct
{
  GForkTemplate *template;      /* whose forks are launched, or NULL: the default's */
  const char *module;           /* loaded by each fork, if the template has not loaded it */
  const char *function;         /* what a worker runs */
  const char * const *argv;     /* the program to execute */
} LaunchPlan;

typedef struct _Contender Contender;

/* Contenders within this process. They refer to the plan, which is not copied. */
Contender *contender_new_gspawnfork (const char         *name,
                                     const LaunchPlan   *plan);
Contender *contender_new_status     (const char         *name,
                                     const LaunchPlan   *plan);
Contender *contender_new_new_exec   (const char         *name,
                                     const LaunchPlan   *plan);
Contender *contender_new_execv      (const char         *name,
                                     const LaunchPlan   *plan);
Contender *contender_new_fork       (const char         *name);
Contender *contender_new_vfork      (const char         *name,
                                     const LaunchPlan   *plan);
Contender *contender_new_spawn      (const char         *name,
                                     const LaunchPlan   *plan);
Contender *contender_new_g_spawn    (const char         *name,
                                     const LaunchPlan   *plan);
Contender *contender_new_subprocess (const char         *name,
                                     const LaunchPlan   *plan,
                                     GSubprocessFlags    flags);

/* The same for programs with pipes as standard input and output, whose status is waited for. */
Contender *contender_new_piped_execv      (const char         *name,
                                           const LaunchPlan   *plan);
Contender *contender_new_piped_spawn      (const char         *name,
                                           const LaunchPlan   *plan);
Contender *contender_new_piped_subprocess (const char         *name,
                                           const LaunchPlan   *plan,
                                           GSubprocessFlags    flags);

/* A contender in a program of its own, which reads from its standard input how many processes to
 * make, and answers with the nanoseconds that one took. Returns NULL if the program cannot run
 * here. */
Contender *contender_new_program    (const char         *name,
                                     const char * const *argv);

void        contender_free          (Contender          *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Contender, contender_free)

const char *contender_get_name      (Contender          *self);

/* Returns what a program says about itself, or NULL. */
const char *contender_get_version   (Contender          *self);

/* Makes n processes, so many at a time. Returns the nanoseconds that one took on average, until
 * the main loop has seen its end of file. */
double      contender_measure       (Contender          *self,
                                     guint               n,
                                     guint               in_flight);

/* Measures as many processes as can be made in batch_ms, after others for warm_up_ms.
 *
 * A scheduler may take a while to spread a load over the processors, and then the same loop
 * takes another time: plain forks took 85 us each for the first 70 ms after a pause, and 190 us
 * from then on. */
double      contender_measure_warm  (Contender          *self,
                                     guint               warm_up_ms,
                                     guint               batch_ms,
                                     guint               in_flight);

/* The monotonic time in nanoseconds. */
gint64      clock_ns                (void);

/* Ends the program with a message if there is an error. */
void        must                    (const char         *what,
                                     GError             *error);

/* Runs the default main context until *done. */
void        loop_until              (const gboolean     *done);

G_END_DECLS

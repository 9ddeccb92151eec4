/* masks.h: replaces what the template process must not do while it is fuzzed
 *
 * This is included before anything else into the sources of the template process, so that it
 * calls the functions of fuzz-serve.c. Nothing is forked, ended, executed, loaded or killed. The
 * environment, the directory, the title and the fuzzer's own descriptors stay as they are.
 * Memory is freed at the end of the input.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#define fork fuzz_fork
#define vfork fuzz_fork
#define exit fuzz_exit
#define _exit fuzz_exit
#define execv fuzz_execv
#define execvp fuzz_execvp
#define execve fuzz_execve
#define setsid fuzz_setsid
#define setrlimit fuzz_setrlimit
#define prctl fuzz_prctl
#define clearenv fuzz_clearenv
#define kill fuzz_kill
#define raise fuzz_raise
#define wait4 fuzz_wait4
#define waitid fuzz_waitid
#define signalfd fuzz_signalfd
#define on_exit fuzz_on_exit
#define syscall fuzz_syscall
#define dup2 fuzz_dup2
#define close fuzz_close
#define chdir fuzz_chdir
#define setenv fuzz_setenv
#define unsetenv fuzz_unsetenv

#define access fuzz_access
#define dlopen fuzz_dlopen
#define dlerror fuzz_dlerror
#define dlsym fuzz_dlsym
#define dlinfo fuzz_dlinfo

#define sendmsg fuzz_sendmsg

#define malloc fuzz_malloc
#define calloc fuzz_calloc
#define realloc fuzz_realloc
#define free fuzz_free
#define strdup fuzz_strdup
#define strndup fuzz_strndup
#define asprintf fuzz_asprintf
#define mmap fuzz_mmap

#define gfork_count_threads fuzz_count_threads
#define gfork_can_close_ranges fuzz_can_close_ranges
#define gfork_vfork_shares_memory fuzz_vfork_shares_memory
#define gfork_title_use_arguments fuzz_title_use_arguments
#define gfork_title_use_proc fuzz_title_use_proc
#define gfork_title_settle fuzz_title_settle
#define gfork_title_set fuzz_title_set

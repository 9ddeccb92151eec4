/* test-escape-kernel.c: ways out of a sandbox by sockets and other parts of the kernel
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-escape.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* ——— Sockets ——— */

static int
connect_unix (int fd,
              int is_abstract)
{
  struct sockaddr_un address;
  socklen_t length = is_abstract ? abstract_address (&address, abstract_name)
                                 : path_address (&address, path_listener);

  return connect (fd, (struct sockaddr *) &address, length);
}

static int
send_to_path (int fd)
{
  struct sockaddr_un address;
  socklen_t length = path_address (&address, path_datagram);

  return (int) sendto (fd, "x", 1, 0, (struct sockaddr *) &address, length);
}

/* Half of such a pair can send to anybody. */
static int
send_by_pair (void)
{
  int fds[2];

  return socketpair (AF_UNIX, SOCK_DGRAM, 0, fds) != 0 ? -1 : send_to_path (fds[0]);
}

static struct sockaddr_in
ip_address (int port)
{
  return (struct sockaddr_in){ AF_INET, htons (port), { htonl (INADDR_LOOPBACK) }, { 0 } };
}

static int
connect_ip (int fd)
{
  struct sockaddr_in address = ip_address (tcp_port);

  return connect (fd, (struct sockaddr *) &address, sizeof address);
}

static int
connect_ip6 (int fd)
{
  struct sockaddr_in6 address = { AF_INET6, htons (tcp6_port), 0, IN6ADDR_LOOPBACK_INIT, 0 };

  return connect (fd, (struct sockaddr *) &address, sizeof address);
}

static int
send_ip (int fd,
         int port,
         int flags)
{
  struct sockaddr_in address = ip_address (port);

  return (int) sendto (fd, "x", 1, flags, (struct sockaddr *) &address, sizeof address);
}

static int
send_ip_message (int fd,
                 int many)
{
  struct sockaddr_in address = ip_address (tcp_port);
  struct iovec bytes = { (void *) "x", 1 };
  struct mmsghdr message = { { &address, sizeof address, &bytes, 1, NULL, 0, 0 }, 0 };

  return many ? sendmmsg (fd, &message, 1, MSG_FASTOPEN)
              : (int) sendmsg (fd, &message.msg_hdr, MSG_FASTOPEN);
}

static int
bind_ip (int fd)
{
  struct sockaddr_in address = ip_address (0);

  return bind (fd, (struct sockaddr *) &address, sizeof address);
}

/* ——— The rest of the kernel ——— */

static int
use_bpf (void)
{
  union bpf_attr attributes = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
                                .max_entries = 1 };

  return (int) syscall (SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

static int
use_perf (pid_t pid)
{
  struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE, .size = sizeof attributes,
                                        .config = PERF_COUNT_SW_TASK_CLOCK };

  return (int) syscall (SYS_perf_event_open, &attributes, pid, -1, -1, 0);
}

static int
system_v (int what)
{
  int id = what == 0   ? shmget (IPC_PRIVATE, 4096, 0600)
           : what == 1 ? semget (IPC_PRIVATE, 1, 0600)
                       : msgget (IPC_PRIVATE, 0600);

  if (id < 0)
    return -1;
  return what == 0 ? shmctl (id, IPC_RMID, NULL)
         : what == 1 ? semctl (id, 0, IPC_RMID)
                     : msgctl (id, IPC_RMID, NULL);
}

static int
page_cache (void)
{
  unsigned char pages[1];

  return mincore ((void *) ((size_t) memory & ~(size_t) 4095), 4096, pages);
}

static int
type_on_terminal (unsigned long request)
{
  return (int) syscall (SYS_ioctl, terminal_fd, request, "x");
}

#define HIGH (1ul << 32) /* which the kernel does not look at in an int */

/* Numbers that only some architectures have. */
#ifndef SYS_ioperm
#define SYS_ioperm (-1)
#endif
#ifndef SYS_modify_ldt
#define SYS_modify_ldt (-1)
#endif

/* ——— All of them ——— */

static int
send_urgent (void)
{
  int fds[2];

  return socketpair (AF_UNIX, SOCK_STREAM, 0, fds) != 0 ? -1 : (int) send (fds[0], "x", 1, MSG_OOB);
}

static int
set_option (int level,
            int option)
{
  int one = 1;

  return setsockopt (tcp_fd, level, option, &one, sizeof one);
}

static const struct sock_filter allow_all[] = { BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
static const struct sock_fprog allows_all = { 1, (struct sock_filter *) allow_all };

static int
answer_own_calls (void)
{
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return (int) syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 3 /* …_NEW_LISTENER */, &allows_all);
}

static int
list_mounts (void)
{
  struct
  {
    unsigned size, unused;
    unsigned long long mount, after;
  } request = { sizeof request, 0, ~0ull, 0 };
  unsigned long long ids[4];

  return (int) syscall (458, &request, ids, 4, 0);
}

#define ATTEMPTS(X) \
  /* sockets */ \
  X (connect_to_path, connect_unix (socket (AF_UNIX, SOCK_STREAM, 0), 0)) \
  X (connect_to_abstract, connect_unix (socket (AF_UNIX, SOCK_STREAM, 0), 1)) \
  X (connect_sent_to_path, connect_unix (unix_fd, 0)) \
  X (send_to_path, send_to_path (socket (AF_UNIX, SOCK_DGRAM, 0))) \
  X (send_to_path_by_pair, send_by_pair ()) \
  X (connect_tcp, connect_ip (socket (AF_INET, SOCK_STREAM, 0))) \
  X (connect_tcp6, connect_ip6 (socket (AF_INET6, SOCK_STREAM, 0))) \
  X (connect_mptcp, connect_ip (socket (AF_INET, SOCK_STREAM, 262))) \
  X (listen_on_sent, listen (listen_fd, 1)) \
  X (connect_sent, connect_ip (tcp_fd)) \
  X (send_udp, send_ip (socket (AF_INET, SOCK_DGRAM, 0), udp_port, 0)) \
  X (send_udplite, socket (AF_INET, SOCK_DGRAM, 136)) \
  X (raw_socket, socket (AF_INET, SOCK_RAW, IPPROTO_ICMP)) \
  X (ping_socket, socket (AF_INET, SOCK_DGRAM, IPPROTO_ICMP)) \
  X (packet_socket, socket (AF_PACKET, SOCK_RAW, 0)) \
  X (netlink_socket, socket (AF_NETLINK, SOCK_RAW, 0)) \
  X (uevent_socket, socket (AF_NETLINK, SOCK_DGRAM, 15)) \
  X (netfilter_socket, socket (AF_NETLINK, SOCK_RAW, 12)) \
  X (vsock_socket, socket (AF_VSOCK, SOCK_STREAM, 0)) \
  X (crypto_socket, socket (AF_ALG, SOCK_SEQPACKET, 0)) \
  X (key_socket, socket (AF_KEY, SOCK_RAW, 2)) \
  X (bind_tcp, bind_ip (socket (AF_INET, SOCK_STREAM, 0))) \
  X (bind_udp, bind_ip (socket (AF_INET, SOCK_DGRAM, 0))) \
  X (bind_abstract, bind_unix ("gspawnfork-escape", 1)) \
  X (listen_tcp, listen (socket (AF_INET, SOCK_STREAM, 0), 1)) \
  X (fast_open, send_ip (socket (AF_INET, SOCK_STREAM, 0), tcp_port, MSG_FASTOPEN)) \
  X (fast_open_message, send_ip_message (socket (AF_INET, SOCK_STREAM, 0), 0)) \
  X (fast_open_messages, send_ip_message (socket (AF_INET, SOCK_STREAM, 0), 1)) \
  X (urgent_bytes, send_urgent ()) \
  X (mark_socket, set_option (SOL_SOCKET, SO_MARK)) \
  X (repair_connection, set_option (IPPROTO_TCP, 19 /* TCP_REPAIR */)) \
  X (transparent_socket, set_option (IPPROTO_IP, IP_TRANSPARENT)) \
  X (filter_socket, setsockopt (tcp_fd, SOL_SOCKET, SO_ATTACH_FILTER, &allows_all, sizeof allows_all)) \
  /* the rest of the kernel */ \
  X (use_bpf, use_bpf ()) \
  X (count_events, use_perf (0)) \
  X (count_events_of_sibling, use_perf (sibling)) \
  X (add_key, (int) syscall (SYS_add_key, "user", "gspawnfork-escape", "x", 1, KEY_SPEC_PROCESS_KEYRING)) \
  X (join_keyring, (int) syscall (SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "gspawnfork-escape", 0, 0, 0)) \
  X (find_keyring, (int) syscall (SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1, 0, 0)) \
  X (page_faults, (int) syscall (SYS_userfaultfd, 1)) \
  X (shared_memory, system_v (0)) \
  X (semaphores, system_v (1)) \
  X (messages, system_v (2)) \
  X (page_cache, page_cache ()) \
  X (kernel_log, (int) syscall (SYS_syslog, 10, NULL, 0)) \
  X (type_on_terminal, type_on_terminal (TIOCSTI)) \
  X (type_on_terminal_high_bits, type_on_terminal (TIOCSTI | HIGH)) \
  X (resize_terminal, ioctl (terminal_fd, TIOCSWINSZ, &(struct winsize){ 1, 1, 0, 0 })) \
  X (take_terminal, setsid () < 0 ? -1 : ioctl (terminal_fd, TIOCSCTTY, 0)) \
  X (break_terminal, ioctl (terminal_fd, TCFLSH, 0)) \
  X (change_terminal, ioctl (terminal_fd, 0x5402 /* TCSETS */, (char[64]){ 0 })) \
  X (accounting, (int) syscall (SYS_acct, NULL)) \
  X (quota, (int) syscall (SYS_quotactl, 0x80000100 /* Q_SYNC */, NULL, 0, NULL)) \
  X (other_ports, (int) syscall (SYS_ioperm, 0x80, 1, 1)) \
  X (descriptor_tables, (int) syscall (SYS_modify_ldt, 0, (char[64]){ 0 }, 64)) \
  X (poison_memory, madvise ((void *) ((size_t) memory & ~(size_t) 4095), 0, 100 /* MADV_HWPOISON */)) \
  X (answer_own_calls, answer_own_calls ()) \
  X (list_mounts, list_mounts ()) \
  X (asynchronous_io, (int) syscall (SYS_io_setup, 1, (unsigned long[]){ 0 })) \
  X (line_discipline, ioctl (terminal_fd, TIOCSETD, (int[]){ 0 })) \
  X (console_requests, ioctl (terminal_fd, TIOCLINUX, (char[]){ 6 })) \
  X (lock_memory, mlockall (MCL_CURRENT))

ATTEMPTS (ESCAPE_DEFINE)

const struct escape_attempt escape_kernel[] = { ATTEMPTS (ESCAPE_ENTRY) { NULL, NULL } };

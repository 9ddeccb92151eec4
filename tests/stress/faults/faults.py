#!/usr/bin/env python3
"""faults.py BUILD [--quick]: makes system calls fail, one after another

Runs faults-program under strace, which makes the Nth call of a kind fail in the
application, in the helper, in all processes that come of it, or in all of them;
for N from 1 until a run has fewer calls than that. Each run has to end, with
success or with an error of the library's, and to leave nothing behind. Prints a
table, and exits with failure if there was a finding.

SPDX-FileCopyrightText: The gspawnfork developers
SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import collections
import ctypes
import multiprocessing
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

PARTS = ["new", "fork", "signal", "exec", "spares", "forget", "detach",
         "pool", "from-main", "early", "embed"]

# In these, what is executed as the helper is the program itself, or nothing.
OWN_HELPER = {"from-main", "early", "embed"}

# Who is traced: the application alone, the helper alone, the helper with all
# that come of it, or everything. In the latter two the Nth call of each process
# fails.
ROLES = ["application", "helper", "template process", "everybody"]

# The calls that both ends make, and how the kernel may refuse each.
CALLS = {
    "socketpair": "EMFILE ENFILE ENOMEM ENOBUFS",
    "sendmsg": "ENOBUFS ENOMEM ETOOMANYREFS EAGAIN EINTR EPIPE ECONNRESET",
    "recvmsg": "EAGAIN EINTR ENOMEM ECONNRESET",
    "recvfrom": "EAGAIN EINTR ENOMEM",
    "clone": "EAGAIN ENOMEM EPERM",
    "clone3": "EAGAIN ENOMEM EPERM ENOSYS",
    "vfork": "EAGAIN ENOMEM",
    "execve": "ENOMEM EAGAIN EACCES ENOENT",
    "memfd_create": "EMFILE ENFILE ENOMEM ENOSYS EPERM",
    "ftruncate": "EINTR ENOMEM ENOSPC EFBIG",
    "write": "EINTR ENOSPC ENOMEM",
    "mmap": "ENOMEM EAGAIN",
    "munmap": "ENOMEM",
    "mprotect": "ENOMEM",
    "dup": "EMFILE",
    "dup2": "EMFILE EBUSY",
    "dup3": "EMFILE EBUSY",
    "fcntl": "EMFILE EPERM",
    "openat": "EMFILE ENFILE ENOMEM ENOENT EINTR",
    "read": "EINTR",
    "pread64": "EINTR EIO",
    "getdents64": "ENOMEM",
    "readlink": "ENOMEM",
    "newfstatat": "ENOMEM",
    "access": "ENOMEM",
    "chdir": "ENOMEM EACCES",
    "poll": "EINTR ENOMEM",
    "ppoll": "EINTR ENOMEM",
    "wait4": "EINTR",
    "waitid": "EINTR",
    "kill": "EPERM",
    "pidfd_open": "EMFILE ENFILE ENOMEM ENOSYS EPERM",
    "pidfd_send_signal": "ENOSYS EPERM ENOMEM EAGAIN",
    "process_mrelease": "ENOSYS EPERM EINTR EAGAIN",
    "ioctl": "ENOTTY EPERM ENOMEM",
    "eventfd2": "EMFILE ENFILE ENOMEM",
    "epoll_create1": "EMFILE ENFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC",
    "epoll_wait": "EINTR",
    "epoll_pwait": "EINTR",
    "timerfd_create": "EMFILE ENFILE ENOMEM",
    "pipe2": "EMFILE",
    "signalfd4": "EMFILE ENFILE ENOMEM",
    "close_range": "ENOSYS EPERM ENOMEM EMFILE",
    "prlimit64": "EPERM",
    "prctl": "EPERM",
    "getsockopt": "ENOBUFS",
}

# What a worker writes, and what GSocket asks of a socket, is not the library's.
NOT_THERE = {"write": {"helper", "template process", "everybody"},
             "getsockopt": {"application", "everybody"}}

# GLib ends the program if it has no memory, no descriptor for a main context, or
# no thread. That is its rule, not the library's.
GLIB_ENDS = re.compile(r"GLib-ERROR|failed to allocate|GLib (\(|:)|"
                       r"GLib-GIO-ERROR|GLib.*(out of memory|creating thread)")
LOADER_ENDS = re.compile(r"error while loading shared libraries|symbol lookup error|"
                         r"cannot (create|apply|allocate)|version lookup|fatal: ")

Result = collections.namedtuple("Result", "injected codes messages finding others")


class Runner:
    """What one of the processes that run the program needs."""

    def __init__(self, build, timeout, directory):
        self.timeout = timeout
        self.directory = tempfile.mkdtemp(dir=directory)
        self.program = os.path.join(build, "tests", "stress", "faults", "faults-program")
        self.helper = os.path.join(build, "gspawnfork", "helper", "gspawnfork-helper")
        self.environment = dict(
            os.environ,
            LD_LIBRARY_PATH=os.path.join(build, "gspawnfork"),
            GFORK_MODULE_PATH=os.path.join(build, "tests", "stress", "faults"),
            LC_ALL="C.UTF-8",
            G_MESSAGES_DEBUG="",
        )
        self.environment.pop("G_DEBUG", None)
        # Processes that are left behind become children of this one.
        PR_SET_CHILD_SUBREAPER = 36
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def command(self, role, part, options):
        environment = dict(self.environment)
        if role in ("application", "everybody"):
            environment["GSPAWNFORK_HELPER"] = self.helper
            follow = ["-f"] if role == "everybody" else []
            command = ["strace", *follow, *options, self.program, part]
        else:
            environment["GSPAWNFORK_HELPER"] = os.path.join(HERE, "helper.sh")
            environment["FAULTS_HELPER"] = self.helper
            follow = ["-f"] if role == "template process" else []
            environment["FAULTS_STRACE"] = " ".join(follow + options)
            command = [self.program, part]
        if part == "embed":
            del environment["GSPAWNFORK_HELPER"]
        if role == "application":
            environment["FAULTS_RECOVERS"] = "1"
        return command, environment

    def run(self, role, part, options):
        """Returns status, output, messages, trace and who was left behind."""
        output, messages, trace = (os.path.join(self.directory, name)
                                   for name in ("output", "messages", "trace"))
        open(trace, "w").close()
        command, environment = self.command(role, part, ["-o", trace, *options])
        with open(output, "w+") as out, open(messages, "w+") as err:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=err, start_new_session=True)
            pidfd = os.pidfd_open(process.pid)
            ended, _, _ = select.select([pidfd], [], [], self.timeout)
            os.close(pidfd)
            left = [] if ended else describe_children()
            status = process.wait() if ended else None
            if ended:
                left = await_children(5)
            if left:
                end_children()
            if not ended:
                process.wait()
        return (status, *(read(path) for path in (output, messages, trace)), left)

    def count(self, role, part):
        """How often each call is made, by the process that makes most of them; and
        before main() in the application."""
        _, _, _, trace, _ = self.run(role, part, ["-e", "trace=all"])
        counts = collections.Counter()
        before = collections.Counter()
        for line in trace.splitlines():
            match = re.match(r"(?:(\d+) +)?(\w+)\(", line)
            if not match:
                continue
            pid, call = match.groups()
            counts[pid, call] += 1
            if call == "personality":
                before.update({c: n for (p, c), n in counts.items() if p == pid})
        most = collections.Counter()
        for (_, call), n in counts.items():
            most[call] = max(most[call], n)
        return most, before if role == "application" else collections.Counter()

    def inject(self, role, part, call, error, n):
        for _ in range(10):
            status, output, messages, trace, left = self.run(
                role, part, ["-e", f"trace=?{call},personality", "-e", "signal=none",
                             "-e", f"inject=?{call}:error={error}:when={n}"])
            # What strace has not taken hold of after three seconds ends by an alarm.
            if "Alarm clock" not in output:
                break
        injected = "(INJECTED)" in trace
        codes = collections.Counter()
        said = set()
        for line in output.splitlines():
            match = re.match(r"[\w-]+: ([\w-]+)(.*)", line)
            if match and match.group(1) not in ("ok", "WRONG"):
                codes[match.group(1)] += 1
                said.add(match.group(1) + re.sub(r"\b\d{2,}\b", "N", match.group(2)))
        finding = None
        others = None
        if status is None:
            # What it has done last.
            finding = f"it hangs after {output.splitlines()[-1:]}: " + "; ".join(left)
        elif "WRONG" in output:
            finding = next(line for line in output.splitlines() if "WRONG" in line)
        elif not output.endswith("end\n"):
            if GLIB_ENDS.search(messages):
                others = "GLib: " + messages.strip().splitlines()[-1].rpartition(": ")[2]
            elif LOADER_ENDS.search(messages) or "personality(" not in trace:
                others = "loader: " + messages.strip().rpartition(": ")[2]
            else:
                finding = f"it ends with status {status}: {messages.strip()[-300:]}"
        elif re.search(r"CRITICAL|gspawnfork-WARNING", messages):
            finding = messages.strip()[-300:]
        if finding is None and left:
            finding = "left behind: " + "; ".join(left)
        return Result(injected, codes, said, finding, others)


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


def children_of(parents):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = read(f"/proc/{name}/stat").rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[1]) in parents:
                found.append(int(name))
    return found + children_of(found) if found else []


def describe_children():
    descriptions = []
    for pid in children_of([os.getpid()]):
        try:
            state = read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0]
            words = read(f"/proc/{pid}/cmdline").replace("\0", " ").split()
            descriptions.append(f"{' '.join(words)[:100]} ({state})")
        except OSError:
            pass
    return descriptions


def reap():
    """Returns whether there is nobody left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return True
    return False


def await_children(seconds):
    end = time.monotonic() + seconds
    pause = 0.0005
    while not reap():
        if time.monotonic() > end:
            return describe_children()
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return []


def end_children():
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for pid in children_of([os.getpid()]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not any_alive():
            return
        time.sleep(0.05)


def any_alive():
    for pid in children_of([os.getpid()]):
        try:
            if read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] != "Z":
                return True
        except OSError:
            pass
    return False


runner = None


def start_runner(*arguments):
    global runner
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = Runner(*arguments)


def count(job):
    return job, runner.count(*job)


def sweep(job):
    """Makes one call after another fail, until there are no more."""
    role, part, call, error, first, last = job
    results = []
    n = first
    while n <= last:
        try:
            result = runner.inject(role, part, call, error, n)
        except OSError as problem:
            result = Result(False, collections.Counter(), set(), f"not run: {problem}", None)
        if not result.injected and not result.finding:
            break
        results.append((n, result))
        if not result.injected:
            break
        n += 1
    return job, results


def jobs_of(counts, quick, only):
    jobs = []
    for (role, part), (most, before) in counts.items():
        for call, errors in CALLS.items():
            if most[call] <= before[call] or (only and call not in only):
                continue
            if role in NOT_THERE.get(call, ()):
                continue
            for error in errors.split():
                jobs.append((role, part, call, error, before[call] + 1, 100000))
    if not quick:
        return jobs

    # One run for each call and error in each role, with part and number going round.
    sample = {}
    for job in jobs:
        sample.setdefault((job[0], job[2], job[3]), []).append(job)
    chosen = []
    for i, same in enumerate(sample.values()):
        role, part, call, error, first, _ = same[i % len(same)]
        most = counts[role, part][0][call]
        n = first + i * 7 % (most - first + 1)
        chosen.append((role, part, call, error, n, n))
    return chosen


def print_table(table, out):
    print(f"{'where':12} {'call':18} {'error':13} {'runs':>5} {'ok':>5} "
          f"{'other':>5} {'bad':>4}  errors", file=out)
    for (role, call, error), row in sorted(table.items(), key=lambda item: (
            ROLES.index(item[0][0]), list(CALLS).index(item[0][1]), item[0][2])):
        codes = ", ".join(f"{code} {n}" for code, n in sorted(row["codes"].items()))
        print(f"{role:12} {call:18} {error:13} {row['runs']:5} {row['ok']:5} "
              f"{row['others']:5} {row['bad']:4}  {codes}", file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--quick", action="store_true", help="a sample, of half a minute")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=float, default=60, help="seconds for a run")
    parser.add_argument("--call", action="append", help="only this call")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part")
    parser.add_argument("--role", action="append", choices=ROLES, help="only there")
    parser.add_argument("--output", help="a file for the table and all that was said")
    options = parser.parse_args()

    if shutil.which("strace") is None:
        print("faults: skipped, as there is no strace")
        return 77

    build = os.path.abspath(options.build)
    start = time.monotonic()
    pairs = [(role, part) for role in options.role or ROLES for part in options.part or PARTS
             if role in ("application", "everybody") or part not in OWN_HELPER]
    table = collections.defaultdict(
        lambda: {"runs": 0, "ok": 0, "others": 0, "bad": 0, "codes": collections.Counter()})
    findings = []
    said = collections.defaultdict(set)
    runs = 0

    with (tempfile.TemporaryDirectory(prefix="gspawnfork-faults-") as directory,
          multiprocessing.Pool(options.jobs, start_runner,
                               (build, options.timeout, directory)) as pool):
        counts = dict(pool.imap_unordered(count, pairs))
        unseen = [pair for pair, (most, _) in counts.items() if not most]
        if unseen:
            print(f"strace sees nothing of {unseen}: may it trace here?", file=sys.stderr)
            return 1
        jobs = jobs_of(counts, options.quick, options.call)
        for job, results in pool.imap_unordered(sweep, jobs):
            role, part, call, error, _, _ = job
            row = table[role, call, error]
            for n, result in results:
                runs += 1
                row["runs"] += 1
                row["codes"].update(result.codes)
                row["others"] += result.others is not None
                row["ok"] += not result.codes and not result.others and not result.finding
                for message in result.messages | ({result.others} - {None}):
                    said[message].add((role, part, call, error))
                if result.finding:
                    row["bad"] += 1
                    findings.append(f"{role}, {part}, {call} {error} {n}: {result.finding}")
                    print(findings[-1], file=sys.stderr, flush=True)
        pool.close()
        pool.join()

    outs = [sys.stdout]
    if options.output:
        outs.append(open(options.output, "w"))
    for out in outs:
        print_table(table, out)
        print(f"\n{runs} runs in {time.monotonic() - start:.0f} s, {len(findings)} findings",
              file=out)
        for finding in findings:
            print("finding:", finding, file=out)
    if options.output:
        print("\nWhat was said:", file=outs[1])
        for message, where in sorted(said.items()):
            kinds = sorted({f"{call} {error}" for _, _, call, error in where})
            print(f"  {message}\n      {len(where)}: {', '.join(kinds)}", file=outs[1])
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

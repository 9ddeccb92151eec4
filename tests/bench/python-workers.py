#!/usr/bin/env python3
# python-workers.py [ROUNDS]: what workers in Python cost: the time from fork to the end,
# and the memory while they are idle. Beside them stand what CPython offers itself and
# what os.fork() alone takes in an interpreter that has loaded the same.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import subprocess
import sys
import time

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork

MODULES = 'json', 'asyncio', 'gi'
N_IDLE = 20
FORKSERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'forkserver.py')

BARE_FORK = '''
import os, sys, time, gc
for name in sys.argv[2:]:
    __import__(name)
gc.freeze()
def once():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
once()
times = []
for i in range(int(sys.argv[1])):
    start = time.perf_counter()
    once()
    times.append(time.perf_counter() - start)
print(sorted(times)[len(times) // 2])
'''

FRESH = '''
import sys
for name in sys.argv[1:]:
    __import__(name)
print(flush=True)
sys.stdin.read()
'''

WORKERS = '''
def leave(sock):
    pass

def idle(sock):
    sock.recv(1)
'''


def median(function, rounds, after=lambda result: None):
    """That of the times that the function takes, each of them without what comes after."""
    after(function())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
        after(result)
    return sorted(times)[len(times) // 2]


def proportional_size(pid):
    with open(f'/proc/{pid}/smaps_rollup') as file:
        for line in file:
            if line.startswith('Pss:'):
                return int(line.split()[1])


def prepare(modules):
    template = GFork.Template.new_python().eval(WORKERS)
    for module in modules:
        template.require(module)
    template.prepare()
    return template


def time_template(modules, rounds):
    template = prepare(modules)

    def once():
        socket, process = template.fork().run('leave')
        process.wait()

    return median(once, rounds)


def time_spares(modules, rounds):
    template = prepare(modules)
    template.props.spare_processes = 2
    template.prepare()

    def until_it_runs():
        socket, process = template.fork().run('leave')
        return process

    return median(until_it_runs, rounds, GFork.Process.wait)


def time_fresh(modules, rounds):
    def once():
        code = ''.join(f'import {module}\n' for module in modules)
        subprocess.run([sys.executable, '-c', code], check=True)

    return median(once, rounds)


def ask_forkserver(modules, question):
    """Has a program that imports nothing else measure it."""
    done = subprocess.run([sys.executable, FORKSERVER, *modules], check=True, text=True,
                          input=f'{question}\n', stdout=subprocess.PIPE)
    return int(done.stdout.splitlines()[-1])


def time_forkserver(modules, rounds):
    return ask_forkserver(modules, rounds) / 1e9


def time_bare_fork(modules, rounds):
    done = subprocess.run([sys.executable, '-c', BARE_FORK, str(rounds), *modules], check=True,
                          capture_output=True, text=True)
    return float(done.stdout)


def size_of_workers(modules):
    template = prepare(modules)
    workers = [template.fork().run('idle') for _ in range(N_IDLE)]
    return sum(proportional_size(process.get_pid()) for _, process in workers) / N_IDLE


def size_of_forkserver(modules):
    return ask_forkserver(modules, f'idle {N_IDLE}')


def size_of_fresh(modules):
    started = [subprocess.Popen([sys.executable, '-c', FRESH, *modules], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE) for _ in range(N_IDLE)]
    for process in started:
        process.stdout.readline()
    size = sum(proportional_size(process.pid) for process in started) / N_IDLE
    for process in started:
        process.communicate()
    return size


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200

    for modules in (), MODULES:
        print(f"With {', '.join(modules) or 'nothing'} imported; fork, run, end and wait, "
              f'one at a time:')
        for name, seconds in (
                ('a fork of a template', time_template(modules, rounds)),
                ('with 2 spares, and until it runs', time_spares(modules, rounds)),
                ('os.fork(), os._exit() and os.waitpid()', time_bare_fork(modules, rounds)),
                ('multiprocessing, forkserver', time_forkserver(modules, rounds // 4)),
                ('a fresh interpreter', time_fresh(modules, rounds // 20)),
        ):
            print(f'  {name:42} {seconds * 1e3:8.2f} ms', flush=True)
        print(f'Proportional set size of each of {N_IDLE} that are idle:')
        for name, kibibytes in (('a fork of a template', size_of_workers(modules)),
                                ('multiprocessing, forkserver', size_of_forkserver(modules)),
                                ('a fresh interpreter', size_of_fresh(modules))):
            print(f'  {name:42} {kibibytes / 1024:8.2f} MiB', flush=True)


if __name__ == '__main__':
    main()

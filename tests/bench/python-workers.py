#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Measures workers in Python, next to what CPython itself offers.

    python3 python-workers.py [--rounds N] [--json FILE]

It measures the time from the fork until the end is known, and the memory of idle processes.
Each contender is measured in each round. All of them have imported the same modules.
docs/performance/measure.sh runs this with the library that was built.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork  # noqa: E402

MODULES = 'json', 'asyncio', 'gi'
N_IDLE = 20
BATCH = 20
FORKSERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'forkserver.py')

# As much as a loop in C has to do, in an interpreter that has loaded the same.
BARE_FORK = '''
import gc, os, sys, time
for name in sys.argv[1:]:
    __import__(name)
gc.freeze()
print('ready os.fork()', flush=True)
for line in iter(sys.stdin.readline, ''):
    start = time.monotonic_ns()
    for _ in range(int(line)):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    print((time.monotonic_ns() - start) // int(line), flush=True)
'''

IDLE = '''
import sys
for name in sys.argv[1:]:
    __import__(name)
print(flush=True)
sys.stdin.read()
'''

WORKERS = '''
import os

def leave(sock):
    pass

def leave_at_once(sock):
    os._exit(0)

def idle(sock):
    sock.recv(1)
'''


def proportional_size(pid):
    """In KiB."""
    with open(f'/proc/{pid}/smaps_rollup') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('Pss:'))


class Template:
    """Forks of a template that run a function."""

    def __init__(self, name, function, modules):
        self.name = name
        self.function = function
        self.template = GFork.Template.new_python().eval(WORKERS)
        for module in modules:
            self.template.require(module)
        self.template.prepare()

    def measure(self):
        start = time.monotonic_ns()
        for _ in range(BATCH):
            socket, process = self.template.fork().run(self.function)
            process.wait()
        return (time.monotonic_ns() - start) / BATCH

    def size(self):
        workers = [self.template.fork().run('idle') for _ in range(N_IDLE)]
        return sum(proportional_size(process.get_pid()) for _, process in workers) / N_IDLE


class Program:
    """A program that reads how many processes to make, and says what one of them took."""

    def __init__(self, name, *argv):
        self.name = name
        self.process = subprocess.Popen([sys.executable, *argv], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def ask(self, question):
        self.process.stdin.write(f'{question}\n')
        return int(self.process.stdout.readline())

    def measure(self):
        return self.ask(BATCH)

    def size(self):
        return self.ask(f'idle {N_IDLE}')


class Fresh:
    """An interpreter that is executed anew and imports the modules."""

    name = 'a fresh interpreter'

    def __init__(self, modules):
        self.modules = modules

    def measure(self):
        code = ''.join(f'import {module}\n' for module in self.modules)
        start = time.monotonic_ns()
        subprocess.run([sys.executable, '-c', code], check=True)
        return time.monotonic_ns() - start

    def size(self):
        started = [subprocess.Popen([sys.executable, '-c', IDLE, *self.modules],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                   for _ in range(N_IDLE)]
        for process in started:
            process.stdout.readline()
        size = sum(proportional_size(process.pid) for process in started) / N_IDLE
        for process in started:
            process.communicate()
        return size


def summary(name, n_modules, unit, samples):
    return {'section': 'python', 'name': name, 'value': n_modules, 'unit': unit,
            'median': statistics.median(samples), 'min': min(samples), 'max': max(samples),
            'samples': len(samples)}


def ratio(fast, slow, n_modules, samples):
    """How many times as fast the first is, in each round."""
    values = [theirs / ours for ours, theirs in zip(samples[fast], samples[slow])]
    return {'section': 'python', 'fast': fast, 'fast value': n_modules, 'slow': slow,
            'slow value': n_modules, 'median': statistics.median(values), 'min': min(values),
            'max': max(values)}


def measure(modules, rounds, results, ratios):
    returns = Template('a fork of a template', 'leave', modules)
    exits = Template('a fork of a template, os._exit()', 'leave_at_once', modules)
    server = Program('multiprocessing, forkserver', FORKSERVER, *modules)
    bare = Program('os.fork(), os._exit()', '-c', BARE_FORK, *modules)
    contenders = [returns, exits, server, bare, Fresh(modules)]
    samples = {contender.name: [] for contender in contenders}

    for number in range(rounds + 1):
        for contender in contenders:
            took = contender.measure()
            # The first round is the warm-up.
            if number > 0:
                samples[contender.name].append(took)

    print(f"With {', '.join(modules) or 'nothing'} imported:")
    for name, values in samples.items():
        results.append(summary(name, len(modules), 'ns', values))
        print(f'  {name:36} {statistics.median(values) / 1e6:8.2f} ms', flush=True)
    for fast, slow in (returns, server), (exits, bare):
        ratios.append(ratio(fast.name, slow.name, len(modules), samples))
        print(f"  {fast.name} is {ratios[-1]['median']:.2f} times as fast as {slow.name}")
    for contender in returns, server, contenders[-1]:
        size = contender.size()
        results.append(summary(f'{contender.name}: Pss', len(modules), 'bytes', [size * 1024]))
        print(f'  {contender.name:36} {size / 1024:8.2f} MiB if idle', flush=True)
    for program in server, bare:
        program.process.communicate()


def main():
    parser = argparse.ArgumentParser(description='What workers in Python cost')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--json', metavar='FILE', help='write the results to a file, too')
    options = parser.parse_args()
    results, ratios = [], []

    for modules in (), MODULES:
        measure(modules, options.rounds, results, ratios)
    if options.json is not None:
        about = {'Python': f'{platform.python_implementation()} {platform.python_version()}'}
        with open(options.json, 'w', encoding='utf-8') as file:
            json.dump({'about': about, 'results': results, 'ratios': ratios}, file, indent=2)
            file.write('\n')


if __name__ == '__main__':
    main()

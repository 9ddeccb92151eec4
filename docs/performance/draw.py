#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Brings the tables and plots of performance.md and performance-details.md up to date.

    python3 draw.py [RESULTS.json [PYTHON.json]]

Reads what gspawnfork-bench has written with --json, by default the results.json
beside this script, and what python-workers.py has written, python.json there.
"""

import json
import pathlib
import re
import sys

import matplotlib

matplotlib.use('svg')
from matplotlib import pyplot, ticker  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent

NEW = 'gspawnfork new'
SPARES = NEW + ' with 2 spares'
NEW_EXIT = NEW + ', _exit'
SPARES_EXIT = SPARES + ', _exit'
PLAIN = 'fork, empty program'

# Two of each hue's family would look alike on one of the backgrounds.
STYLES = {
    NEW: ('#d55e00', 'o', '-'),
    SPARES: ('#e69f00', 's', '-'),
    'gspawnfork new_exec': ('#d55e00', '^', '--'),
    'fork': ('#0072b2', 'o', '-'),
    PLAIN: ('#888888', '', ':'),
    'posix_spawn': ('#009e73', 'D', '-'),
    'g_spawn_async': ('#56b4e9', 'v', '-'),
    'GSubprocess': ('#cc79a7', 's', '-'),
    'AnyEvent::Fork new': ('#8a7fd6', 'P', '--'),
}

# Text and axes follow the reader's choice of light or dark; matplotlib knows no
# such colour, so one that occurs nowhere else stands for it.
FOREGROUND = '#123456'
STYLESHEET = ('<style>svg{color:#222}'
              '@media (prefers-color-scheme:dark){svg{color:#ddd}}</style>')

# In each plot, as in every other file. Written so that nobody takes it for this file's.
LICENCE = ('<!-- SPDX-' 'FileCopyrightText: The gspawnfork developers\n'
           '     SPDX-' 'License-Identifier: LGPL-2.1-or-later -->\n')


class Results:
    def __init__(self, *filenames):
        self.about, self.rows, self.ratios = {}, {}, {}
        for filename in filenames:
            with open(filename, encoding='utf-8') as file:
                content = json.load(file)
            self.about.update(content['about'])
            self.rows.update({(row['section'], row['name'], row.get('value', 0)): row
                              for row in content['results']})
            self.ratios.update({(ratio['section'], ratio['fast'], ratio.get('fast value', 0),
                                 ratio['slow'], ratio.get('slow value', 0)): ratio
                                for ratio in content['ratios']})

    def get(self, section, name, value, key='median'):
        row = self.rows.get((section, name, value))
        return row[key] if row else None

    def values(self, section, name=None):
        return sorted({key[2] for key in self.rows
                       if key[0] == section and name in (None, key[1])})

    def names(self, section):
        return list(dict.fromkeys(key[1] for key in self.rows if key[0] == section))


# Tables

def three_digits(number):
    if number is None:
        return '–'
    if number == 0:
        return '0'
    digits = 0 if number >= 100 else 1 if number >= 10 else 2
    return f'{number:,.{digits}f}'


def microseconds(nanoseconds):
    return three_digits(nanoseconds / 1e3) if nanoseconds is not None else '–'


def a_second(nanoseconds):
    return f'{1e9 / nanoseconds:,.0f}' if nanoseconds is not None else '–'


def kibibytes(bytes):
    return f'{bytes / 1024:,.0f}' if bytes is not None else '–'


def table(heading, rows):
    lines = ['| ' + ' | '.join(heading) + ' |',
             '| --- |' + ' ---: |' * (len(heading) - 1)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join(lines)


def show_machine(results):
    rows = list(results.about.items())
    return '\n'.join(['| | |', '| --- | --- |'] +
                     [f'| {name} | {value} |' for name, value in rows])


def show_size(results):
    sizes = results.values('cycle')
    rows = []
    for name in results.names('cycle'):
        own = results.values('cycle', name)
        cells = [microseconds(results.get('cycle', name, size)) for size in sizes]
        # What runs in a program of its own has one size, whatever this one's.
        if own == [0] or name == PLAIN:
            cells[1:] = [''] * (len(sizes) - 1)
        rows.append([name] + cells)
    return table(['microseconds, in an application of'] + [f'{size:,} MB' for size in sizes], rows)


def show_ratios(results):
    sizes = results.values('cycle')
    in_flight = 8
    big = results.values('big', 'private')
    ends = sizes[0], sizes[-1]
    wanted = [('cycle', NEW_EXIT, 0, PLAIN, 0), ('cycle', SPARES_EXIT, 0, PLAIN, 0),
              ('flight', NEW_EXIT, in_flight, PLAIN, 1)]
    wanted += [('cycle', NEW_EXIT, size, 'fork', size) for size in ends]
    wanted += [('cycle', SPARES_EXIT, sizes[-1], 'fork', sizes[-1]),
               ('cycle', NEW, 0, 'AnyEvent::Fork new', 0),
               ('cycle', 'gspawnfork new_exec', 0, 'AnyEvent::Fork new_exec', 0)]
    wanted += [('cycle', NEW, size, slow, size) for slow in ('posix_spawn', 'GSubprocess')
               for size in ends]
    wanted += [('cycle', SPARES, sizes[-1], 'GSubprocess', sizes[-1])]
    wanted += [('cycle', NEW, sizes[-1], NEW, 0)]
    wanted += [('spares', 'run_async to callback', 2, 'run_async to callback', 0)]
    wanted += [('scale', NEW, 0, NEW, value) for value in results.values('scale', NEW)[1:]]
    for size in big:
        wanted += [('big', 'send_bytes', size, 'private', size),
                   ('big', 'allocated and freed', size, 'private', size)]

    labels = {'cycle': ', {:,} MB', 'flight': ', {:,} in flight', 'spares': ', {:,} spares',
              'scale': ', {:,} alive', 'big': ', {:,} MB'}

    def label(section, name, value):
        alone = name in (PLAIN, 'AnyEvent::Fork new', 'AnyEvent::Fork new_exec')
        return name if alone else name + labels[section].format(value)

    rows = []
    for key in wanted:
        ratio = results.ratios.get(key)
        if ratio:
            section, fast, fast_value, slow, slow_value = key
            rows.append([label(section, fast, fast_value), label(section, slow, slow_value)] +
                        [three_digits(ratio[which]) for which in ('median', 'min', 'max')])
    lines = table(['what', 'compared with', 'times as fast', 'least', 'most'], rows)
    return lines.replace('| --- | ---: |', '| --- | --- |', 1)


def show_programs(results):
    sizes = results.values('programs')
    rows = [[name] + [microseconds(results.get('programs', name, size)) for size in sizes]
            for name in results.names('programs')]
    lines = [table(['microseconds, in an application of'] + [f'{size:,} MB' for size in sizes],
                   rows), '']
    for (section, fast, size, slow, _), ratio in results.ratios.items():
        if section == 'programs':
            lines.append(f'- At {size:,} MB, {fast} is {three_digits(ratio["median"])} times '
                         f'({three_digits(ratio["min"])} to {three_digits(ratio["max"])}) as fast '
                         f'as {slow}.')
    return '\n'.join(lines)


def show_flight(results):
    levels = results.values('flight')
    rows = [[name] + [a_second(results.get('flight', name, level)) for level in levels]
            for name in results.names('flight')]
    for row in rows:
        row[1:] = ['' if cell == '–' else cell for cell in row[1:]]
    return table(['launches a second, with so many in flight'] + [str(level) for level in levels],
                 rows)


def show_spares(results):
    values = results.values('spares')
    return table(['microseconds'] + [f'{value} spares' if value else 'no spares'
                                     for value in values],
                 [[name] + [microseconds(results.get('spares', name, value)) for value in values]
                  for name in ('run_async to callback', 'fork to callback')])


def show_scale(results):
    values = results.values('scale', NEW)
    rows = [['a launch, microseconds'] +
            [microseconds(results.get('scale', NEW, value)) for value in values]]
    rows += [["the template's descriptors"] +
             [format(results.get('scale', "the template's descriptors", value), '.0f')
              for value in values]]
    others = results.values('scale', 'one more worker that stays')
    text = table(['alive meanwhile'] + [f'{value:,}' for value in values], rows)
    lines = [f'- {microseconds(results.get("scale", "one more worker that stays", value))} µs for '
             f'each worker that stays, after {value:,} others' for value in others]
    ended = 'ended and waited for, each'
    lines += [f'- {microseconds(results.get("scale", ended, value))} µs for each of {value:,} '
              f'that are ended together, until the status of all is known'
              for value in results.values('scale', ended)]
    return text + '\n\n' + '\n'.join(lines)


def show_memory(results):
    values = results.values('memory')
    rows = [[f'{who}, {label}'] +
            [kibibytes(results.get('memory', f'{who}: {field}', value)) for value in values]
            for who in ('worker', 'template', 'helper')
            for field, label in (('private', 'private'), ('Pss', 'proportional'),
                                 ('Rss', 'resident'))]
    return table(['KiB, with so many idle workers'] + [f'{value:,}' for value in values], rows)


def show_big(results):
    rows = [[name, microseconds(results.get('big', name, size))]
            for name in results.names('big') for size in results.values('big', name)]
    size = results.values('big')[-1]
    return table([f'a template of {size} MB', 'microseconds'],
                 [[f'{NEW}, an empty template' if name == NEW else name, cell]
                  for name, cell in rows])


def show_work(results):
    rows = []
    values = results.values('work')
    for who in ('application', 'template', 'worker'):
        for what in ('system calls', 'minor faults', 'waits', 'waits before its function',
                     'CPU time'):
            name = f'{who}: {what}'
            if name not in results.names('work'):
                continue
            cells = [results.get('work', name, value) for value in values]
            if what == 'CPU time':
                rows.append([f'{who}: {what}, microseconds'] +
                            [microseconds(cell) if cell is not None else '' for cell in cells])
            else:
                rows.append([name] + [f'{cell:.1f}' if cell is not None else '' for cell in cells])
    return table(['of one launch, with so many in flight'] + [f'{value}' for value in values], rows)


def milliseconds(nanoseconds):
    return f'{nanoseconds / 1e6:.2f}' if nanoseconds is not None else '–'


def show_python(results):
    values = results.values('python')
    names = [name for name in results.names('python') if not name.endswith(': Pss')]
    rows = [[f'{name}, milliseconds'] +
            [milliseconds(results.get('python', name, value)) for value in values]
            for name in names]
    rows += [[f'{name}, idle: MiB'] +
             [f"{results.get('python', f'{name}: Pss', value) / 2**20:.2f}" for value in values]
             for name in names if results.values('python', f'{name}: Pss')]
    lines = [table(['one after another, with so much imported', 'nothing', 'json, asyncio, gi'],
                   rows), '']
    for (section, fast, value, slow, _), ratio in results.ratios.items():
        if section == 'python':
            imported = 'json, asyncio and gi' if value else 'nothing'
            lines.append(f'- With {imported} imported, {fast} is {ratio["median"]:.2f} times '
                         f'({ratio["min"]:.2f} to {ratio["max"]:.2f}) as fast as {slow}.')
    return '\n'.join(lines)


# What one would use instead: a label for each, what is measured, and the template that does
# equal work.

CONFINED = NEW + ', confined'
INSTEAD = [
    ('`fork()` in a program with nothing loaded', ('cycle', PLAIN, 0), ('cycle', NEW_EXIT, 0)),
    ('`fork()` in an application of {size:,} MB', ('cycle', 'fork', -1), ('cycle', NEW_EXIT, -1)),
    ('`posix_spawn()` of a program', ('cycle', 'posix_spawn', -1), ('cycle', NEW, -1)),
    ('GSubprocess in a program with nothing loaded', ('cycle', 'GSubprocess', 0), ('cycle', NEW, 0)),
    ('GSubprocess in an application of {size:,} MB', ('cycle', 'GSubprocess', -1),
     ('cycle', NEW, -1)),
    ('AnyEvent::Fork', ('cycle', 'AnyEvent::Fork new', 0), ('cycle', NEW, 0)),
    ('forkserver of multiprocessing, equal preloading',
     ('python', 'multiprocessing, forkserver', -1), ('python', 'a fork of a template', -1)),
    ('a new interpreter', ('python', 'a fresh interpreter', -1),
     ('python', 'a fork of a template', -1)),
    ('bubblewrap', ('confined', 'posix_spawn bwrap', None), ('confined', CONFINED, None)),
]


def find_instead(results):
    """Label, and nanoseconds of the one and of the template, of all that was measured."""
    found = []
    size = results.values('cycle')[-1]

    def get(section, name, which):
        values = results.values(section, name)
        if which == 0:
            values = [value for value in values if value == 0]
        return results.get(section, name, values[-1]) if values else None

    for label, theirs, ours in INSTEAD:
        took, template_took = get(*theirs), get(*ours)
        # Of older results, which had no workers that call _exit().
        if template_took is None and ours[1] == NEW_EXIT:
            template_took = get(ours[0], NEW, ours[2])
        if took is not None and template_took is not None:
            found.append((label.format(size=size), took, template_took))
    return found


def show_instead(results):
    return table(['instead', 'microseconds', 'a template', 'times as fast'],
                 [[label, microseconds(took), microseconds(template), three_digits(took / template)]
                  for label, took, template in find_instead(results)])


# Page by page, as a user reads one and a maintainer the other

SHOWS = {'performance.md': {'machine': show_machine, 'instead': show_instead},
         'performance-details.md':
         {'machine': show_machine, 'ratios': show_ratios, 'size': show_size,
          'programs': show_programs, 'flight': show_flight, 'spares': show_spares, 'scale': show_scale,
          'memory': show_memory, 'big': show_big, 'work': show_work, 'python': show_python}}


def check(results):
    for section in 'cycle', 'programs', 'flight', 'spares', 'scale', 'memory', 'big', 'work', 'python':
        if not results.names(section):
            sys.exit(f'The section "{section}" was not measured, and the page shows all of them.')


def write_page(page, shows, results):
    text = page.read_text(encoding='utf-8')
    for name, show in shows.items():
        text, n = re.subn(f'(<!-- {name}: .*?-->\n\n).*?(\n\n<!-- end of {name} -->)',
                          lambda match, show=show: match[1] + show(results) + match[2], text,
                          flags=re.DOTALL)
        if n != 1:
            sys.exit(f'{page}: there is no place for the table "{name}"')
    page.write_text(text, encoding='utf-8')


# Plots

def begin_plot(title, x_label, y_label):
    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=.25, color='#888888')
    for side in 'top', 'right':
        axes.spines[side].set_visible(False)
    return figure, axes


def draw_line(axes, name, x, y):
    color, marker, line = STYLES[name]
    axes.plot(x, y, color=color, marker=marker, linestyle=line, markersize=5, linewidth=1.5,
              label=name)


def end_plot(figure, axes, filename):
    axes.legend(loc='center left', bbox_to_anchor=(1, .5), frameon=False, fontsize=9)
    figure.savefig(filename, transparent=True, bbox_inches='tight', metadata={'Date': None})
    pyplot.close(figure)

    text = filename.read_text(encoding='utf-8').replace(FOREGROUND, 'currentColor')
    text = re.sub('(<svg[^>]*>)', LICENCE + r'\1' + STYLESHEET, text, count=1)
    text = '\n'.join(line.rstrip() for line in text.splitlines()) + '\n'
    filename.write_text(text, encoding='utf-8')


def draw_size(results, filename):
    figure, axes = begin_plot('One process after another: made, run, ended',
                              'memory of the application, MB', 'microseconds for each')
    sizes = results.values('cycle')
    # The logarithm of 0 MB is far away; a program that has nothing has about one.
    x = [max(size, 1) for size in sizes]

    for name in STYLES:
        if not results.values('cycle', name):
            continue
        y = [results.get('cycle', name, size) for size in sizes]
        if name == PLAIN or None in y:
            y = [y[0]] * len(sizes)
        draw_line(axes, name, x, [nanoseconds / 1e3 for nanoseconds in y])

    axes.set_xscale('log')
    axes.set_yscale('log')
    axes.set_xticks(x, [f'{size:,}' for size in sizes])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: f'{y:,.0f}'))
    end_plot(figure, axes, filename)


def draw_flight(results, filename):
    figure, axes = begin_plot('Several launches in flight', 'launches in flight',
                              'launches a second')
    levels = results.values('flight')

    for name in STYLES:
        x = results.values('flight', name)
        if not x:
            continue
        y = [1e9 / results.get('flight', name, level) for level in x]
        if name == PLAIN:
            x, y = levels, y[:1] * len(levels)
        draw_line(axes, name, x, y)

    axes.set_xscale('log', base=2)
    axes.set_xticks(levels, [str(level) for level in levels])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: f'{y:,.0f}'))
    end_plot(figure, axes, filename)


def draw_instead(results, filename):
    figure, axes = begin_plot('One process: made, run, ended', 'microseconds', '')
    found = find_instead(results)[::-1]
    labels = [label.replace('`', '') for label, _, _ in found]
    y = range(len(found))

    axes.barh([place + .2 for place in y], [took / 1e3 for _, took, _ in found], height=.38,
              color=STYLES['GSubprocess'][0], label='this')
    axes.barh([place - .2 for place in y], [template / 1e3 for _, _, template in found],
              height=.38, color=STYLES[NEW][0], label='a template instead')
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f'{x:,.0f}'))
    # Bars of a logarithm begin somewhere; one that is the same in each run.
    axes.set_xlim(left=10)
    axes.set_yticks(y, labels)
    end_plot(figure, axes, filename)


def main():
    defaults = [HERE / 'results.json', HERE / 'python.json']
    results = Results(*(sys.argv[1:] + defaults[len(sys.argv) - 1:]))
    check(results)

    # Text that stays text, and the same bytes for the same figures.
    pyplot.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'gspawnfork',
                            'font.family': 'sans-serif', 'text.color': FOREGROUND,
                            'axes.edgecolor': FOREGROUND, 'axes.labelcolor': FOREGROUND,
                            'xtick.color': FOREGROUND, 'ytick.color': FOREGROUND})
    for name, shows in SHOWS.items():
        write_page(DOCS / name, shows, results)
    draw_size(results, DOCS / 'performance-size.svg')
    draw_flight(results, DOCS / 'performance-flight.svg')
    draw_instead(results, DOCS / 'performance-instead.svg')


if __name__ == '__main__':
    main()

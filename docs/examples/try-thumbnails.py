# try-thumbnails.py PROGRAM [PICTURE]: runs thumbnails under Xvfb and looks at its pixels
#
# PICTURE is a file to which what is to be seen is written, too.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import collections
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

SKIPPED = 77

SCREEN_WIDTH, SCREEN_HEIGHT = 800, 660
PICTURE_SIZE = 256
BROKEN = (0xc0, 0x1c, 0x28)

SKIES = [(0x33 + 0x22 * i, 0x55 + 0x16 * (i % 4), 0xee - 0x18 * i) for i in range(7)]
BAD_FILES = {
    'x-crash.png': b'CRASH',
    'x-garbage.png': b'\x89PNG\r\n\x1a\nnot a picture',
    'x-hang.png': b'HANG',
    'x-steal.png': b'STEAL',
}


def write_png(path, width, height, rows):
    """Rows of bytes, three for each pixel."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    with open(path, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n')
        file.write(chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)))
        file.write(chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows), 9)))
        file.write(chunk(b'IEND', b''))


def landscape(sky, phase):
    """A sun, and hills, under a sky of one color."""
    size = PICTURE_SIZE
    sun = bytes((0xff, 0xe0, 0x80))
    rows = []
    for y in range(size):
        row = bytearray()
        for x in range(size):
            near = 0.78 + 0.1 * math.sin(phase + 7 * x / size)
            far = 0.62 + 0.08 * math.sin(2 * phase + 11 * x / size)
            if y > near * size:
                row += bytes((0x20, 0x50 + 8 * int(phase), 0x30))
            elif y > far * size:
                row += bytes((0x40, 0x70 + 8 * int(phase), 0x50))
            elif math.hypot(x - size * (0.25 + 0.07 * phase), y - size * 0.28) < size * 0.1:
                row += sun
            else:
                row += bytes(sky)
        rows.append(bytes(row))
    return rows


def make_files(folder):
    """Pictures, and files that are none."""
    for i, sky in enumerate(SKIES):
        first = os.path.join(folder, f'picture-{i:02}.png')
        write_png(first, PICTURE_SIZE, PICTURE_SIZE, landscape(sky, i))
        for n in range(1, 3):
            shutil.copy(first, os.path.join(folder, f'picture-{i + n * len(SKIES):02}.png'))
    for name, contents in BAD_FILES.items():
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(contents)
    return 3 * len(SKIES) + len(BAD_FILES)


def start_screen(directory):
    """Starts an X server whose pixels are in a file, and returns it and its display."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ['Xvfb', '-displayfd', str(writing), '-screen', '0', f'{SCREEN_WIDTH}x{SCREEN_HEIGHT}x24',
         '-fbdir', directory, '-nolisten', 'tcp'],
        pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as file:
        return server, ':' + file.readline().strip()


def read_screen(path):
    """The rows of an X window dump of 32 bits a pixel, as three bytes a pixel."""
    with open(path, 'rb') as file:
        data = file.read()
    header = struct.unpack('>25I', data[:100])
    size, width, height, little, stride, n_colors = (header[i] for i in (0, 4, 5, 7, 12, 19))
    assert (width, height) == (SCREEN_WIDTH, SCREEN_HEIGHT), header
    start = size + n_colors * 12
    red, green, blue = (1, 2, 3) if little else (2, 1, 0)
    rows = []
    for y in range(height):
        pixels = data[start + y * stride:start + y * stride + width * 4]
        row = bytearray(3 * width)
        row[0::3], row[1::3], row[2::3] = pixels[red::4], pixels[green::4], pixels[blue::4]
        rows.append(bytes(row))
    return rows


def run(program, directory):
    """Returns the lines that the program prints, and what is then to be seen."""
    folder = os.path.join(directory, 'pictures')
    os.mkdir(folder)
    n_files = make_files(folder)
    server, display = start_screen(directory)
    try:
        environment = dict(os.environ, DISPLAY=display, HOME=directory, XDG_RUNTIME_DIR=directory,
                           GDK_BACKEND='x11', GSK_RENDERER='cairo', GTK_A11Y='none', GTK_USE_PORTAL='0',
                           GSETTINGS_BACKEND='memory', DBUS_SESSION_BUS_ADDRESS='disabled:')
        with subprocess.Popen([program, folder, '--report'], env=environment,
                              stdout=subprocess.PIPE, text=True) as thumbnails:
            lines = []
            for line in thumbnails.stdout:
                lines.append(line.rstrip())
                if line.startswith(f'{n_files} tiles'):
                    break
            rows = read_screen(os.path.join(directory, 'Xvfb_screen0'))
            thumbnails.kill()
        return n_files, lines, rows
    finally:
        server.kill()
        server.wait()


def check(n_files, lines, rows):
    troubles = dict(line.split(': ', 1) for line in lines[:-1])
    assert sorted(troubles) == sorted(BAD_FILES), lines
    assert '/etc/passwd' in troubles['x-steal.png'], lines
    assert 'Permission denied' in troubles['x-steal.png'], lines

    counts = lines[-1].split(', ')
    assert counts[:2] == [f'{n_files} tiles', f'{len(BAD_FILES)} broken'], lines
    # It scrolled while a decoder hung.
    assert int(counts[2].split()[0]) > 0, lines

    pixels = collections.Counter(row[i:i + 3] for row in rows for i in range(0, len(row), 3))
    for sky in SKIES:
        assert pixels[bytes(sky)] >= 3000, (sky, pixels.most_common(20))
    assert pixels[bytes(BROKEN)] >= len(BAD_FILES) * 3000, pixels.most_common(20)


def main():
    if shutil.which('Xvfb') is None:
        print('Xvfb is not installed')
        return SKIPPED

    with tempfile.TemporaryDirectory() as directory:
        n_files, lines, rows = run(sys.argv[1], directory)

    print('\n'.join(lines))
    if len(sys.argv) > 2:
        write_png(sys.argv[2], SCREEN_WIDTH, SCREEN_HEIGHT, rows)
    check(n_files, lines, rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())

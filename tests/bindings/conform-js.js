// conform-js.js: the functions that conformance.py runs, in JavaScript; conform.c describes them
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

import GLib from 'gi://GLib';

const kept = [];

function write(socket, data) {
    while (data.length > 0)
        data = data.subarray(socket.send(data, null));
}

export function conform_echo(socket) {
    const connection = socket.connection_factory_create_connection();
    const input = connection.get_input_stream();
    for (;;) {
        const bytes = input.read_bytes(1000, null);
        if (bytes.get_size() === 0)
            return;
        write(socket, bytes.toArray());
    }
}

export function conform_seven() {
    return 7;
}

export function conform_show(socket, ...args) {
    for (const arg of args) {
        if (typeof arg === 'string' || arg instanceof GLib.Bytes) {
            const data = typeof arg === 'string'
                ? new TextEncoder().encode(arg) : arg.toArray();
            write(socket, new TextEncoder().encode(`${data.length}:`));
            write(socket, data);
            write(socket, new TextEncoder().encode('\n'));
        } else {
            write(socket, new TextEncoder().encode('fd\n'));
        }
    }
}

export function conform_keep(...args) {
    kept.push(...args);
}

// Code that is evaluated sees what is global.
globalThis.conform_keep = conform_keep;

export function conform_kept(socket) {
    write(socket, new TextEncoder().encode(kept.join(' ')));
}

export function conform_fail() {
    throw new Error('this is why');
}

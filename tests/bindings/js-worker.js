// js-worker.js: the functions that tests run in workers in JavaScript
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

const memory = [];

function write(socket, text) {
    for (let data = new TextEncoder().encode(text); data.length > 0;)
        data = data.subarray(socket.send(data, null));
}

function describe(arg) {
    if (typeof arg === 'string')
        return ['string', arg];
    if (arg instanceof GLib.Bytes)
        return ['bytes', Array.from(arg.toArray())];
    return [arg.constructor.name];
}

// Called

export function remember(...args) {
    memory.push(args);
}

export async function rememberLater(...args) {
    await sleep(1);
    memory.push(args);
}

export function fail() {
    throw new RangeError('no such range');
}

export async function failLater() {
    await sleep(1);
    throw new RangeError('no such range');
}

// Run

export function tell(socket, ...args) {
    const [, title] = GLib.file_get_contents('/proc/self/cmdline');
    const end = title.indexOf(0);

    write(socket, JSON.stringify({
        args: args.map(describe),
        cwd: GLib.get_current_dir(),
        environment: Object.fromEntries(GLib.get_environ().map(entry => {
            const at = entry.indexOf('=');
            return [entry.slice(0, at), entry.slice(at + 1)];
        })),
        memory,
        title: new TextDecoder().decode(title.subarray(0, end)),
    }));
}

export function lengths(socket, ...args) {
    write(socket, JSON.stringify(args.map(arg => arg.length ?? arg.get_size())));
}

export function writeTo(socket, ...streams) {
    for (const stream of streams) {
        if (stream instanceof Gio.Socket)
            write(stream, 'written by the worker');
        else
            stream.write_all('written by the worker', null);
    }
}

export function readFrom(socket, stream) {
    const bytes = stream.read_bytes(4096, null);
    write(socket, new TextDecoder().decode(bytes.toArray()));
}

// Opens something and sends it to the application.
export function sendBack(socket) {
    const [file, stream] = Gio.File.new_tmp('gspawnfork-XXXXXX');
    stream.get_output_stream().write_all('from the worker', null);
    const input = file.read(null);
    file.delete(null);
    socket.connection_factory_create_connection().send_fd(input.get_fd(), null);
}

export function echo(socket) {
    const connection = socket.connection_factory_create_connection();
    const input = connection.get_input_stream();
    for (;;) {
        const bytes = input.read_bytes(4096, null);
        if (bytes.get_size() === 0)
            return;
        connection.get_output_stream().write_bytes(bytes, null);
    }
}

function sleep(milliseconds) {
    return new Promise(resolve => {
        GLib.timeout_add(GLib.PRIORITY_DEFAULT, milliseconds, () => {
            resolve();
            return GLib.SOURCE_REMOVE;
        });
    });
}

export async function asynchronous(socket, word) {
    await sleep(1);
    write(socket, word);
    await sleep(1);
    return 4;
}

export async function rejected() {
    await sleep(1);
    throw new Error('this is expected');
}

export function thrown() {
    throw new Error('this is expected');
}

export function exitWith(socket, status) {
    System.exit(parseInt(status));
}

export async function exitLater(socket, status) {
    await sleep(1);
    System.exit(parseInt(status));
}

export function returnStatus() {
    return 5;
}

export function nothing() {
}

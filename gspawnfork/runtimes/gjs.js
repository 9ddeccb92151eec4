// gjs.js: the template process for modules in JavaScript
//
// The library carries out most commands itself, in C, since JavaScript can neither
// receive descriptors nor execute programs. What has to do with the language is here.
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

import GFork from 'gi://GFork?version=1.0';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

const {Error: Code, Request} = GFork;
const Unix = findUnix();
const OK = -1;

// Where newer GLib has the classes for descriptors; elsewhere Gio has them.
function findUnix() {
    try {
        return imports.gi.GioUnix;
    } catch {
        return {InputStream: Gio.UnixInputStream, OutputStream: Gio.UnixOutputStream};
    }
}

class Failure extends Error {
    constructor(code, reason) {
        super(reason);
        this.code = code;
    }
}

let toldPath = [];
const newestFirst = [];

class Exit extends Error {
    constructor(status) {
        super(`exit (${status})`);
        this.status = status;
    }
}

// Inside a promise, exit() only ends what is being done there.
const {exit} = System;
let exitStatus = null;
System.exit = status => {
    exitStatus = status;
    exit(status);
};

// Iterates the main context until the promise is settled, and returns its value or throws.
function settle(promise) {
    const context = GLib.MainContext.default();
    let outcome = null;

    promise.then(value => (outcome = {value}), error => (outcome = {error}));
    while (outcome === null) {
        context.iteration(true);
        if (exitStatus !== null)
            throw new Exit(exitStatus);
    }
    if ('error' in outcome)
        throw outcome.error;
    return outcome.value;
}

// An exception in one line: its type, its message and where it comes from.
function describe(error) {
    if (!(error instanceof Error))
        return `${error}`;

    let text = error instanceof GLib.Error ? error.message : `${error.name}: ${error.message}`;
    if (error.fileName && !error.fileName.endsWith('/gjs.js'))
        text += ` (${error.fileName}, line ${error.lineNumber})`;
    return text.replaceAll('\x1f', ' ');
}

function attempt(code, action) {
    try {
        return action();
    } catch (error) {
        throw error instanceof Failure ? error : new Failure(code, describe(error));
    }
}

// Marks a message for translation, which the application does.
const N_ = text => text;

const isPlain = name => !/[/:]/.test(name);

// Where plain names are looked up.
function directories() {
    const path = toldPath.concat((GLib.getenv('GFORK_MODULE_PATH') ?? '').split(':'));
    return path.filter(entry => entry.startsWith('/'));
}

// Plain names are looked up in the directories, like modules in other languages. Absolute
// paths are used as they are. Anything else is a specifier for `import`.
function resolve(name) {
    if (name.startsWith('/'))
        return GLib.filename_to_uri(name, null);
    if (!isPlain(name))
        return name;

    for (const directory of directories()) {
        for (const file of [`${name}.js`, name]) {
            const full = GLib.build_filenamev([directory, file]);
            if (GLib.file_test(full, GLib.FileTest.IS_REGULAR))
                return GLib.filename_to_uri(full, null);
        }
    }
    return name;
}

function load(name) {
    const specifier = resolve(name);
    try {
        return settle(import(specifier));
    } catch (error) {
        // It is no module of the interpreter's own either.
        if (isPlain(name) && specifier === name && error.name === 'ImportError') {
            throw new Failure(Code.MODULE, directories().length > 0
                ? `it is in none of these directories\x1f${directories().join(', ')}`
                : N_('no directory is known in which it could be'));
        }
        throw error;
    }
}

function require(name) {
    const module = attempt(Code.MODULE, () => load(name));
    if (!newestFirst.includes(module))
        newestFirst.unshift(module);
    return module;
}

// Finds the function `name` in the modules or in evaluated code, or `module:name`.
function find(name) {
    const colon = name.lastIndexOf(':');
    let found, reason;

    if (colon >= 0) {
        found = require(name.slice(0, colon))[name.slice(colon + 1)];
        reason = 'the module does not export it';
    } else {
        const place = [...newestFirst, globalThis].find(each => name in each);
        found = place?.[name];
        reason = newestFirst.length > 0 ? 'no loaded module exports it' : 'no module is loaded';
    }

    if (typeof found !== 'function')
        throw new Failure(Code.FUNCTION, reason);
    return found;
}

// Evaluated code is not a module, so its declarations are global.
function evaluate(code, args) {
    globalThis.args = args;
    return (0, eval)(code);
}

function prepare(action) {
    attempt(Code.CALL, () => {
        const result = action();
        if (result instanceof Promise)
            settle(result);
    });
}

// A socket, or a stream in the direction in which the descriptor is open.
function openDescriptor(fd) {
    if (GLib.file_read_link(`/proc/self/fd/${fd}`).startsWith('socket:'))
        return Gio.Socket.new_from_fd(fd);

    const [, info] = GLib.file_get_contents(`/proc/self/fdinfo/${fd}`);
    const flags = /^flags:\s*([0-7]+)/m.exec(new TextDecoder().decode(info))?.[1];
    const writeOnly = (parseInt(flags ?? '0', 8) & 3) === 1;
    return writeOnly
        ? new Unix.OutputStream({fd, close_fd: true})
        : new Unix.InputStream({fd, close_fd: true});
}

function openValue(value) {
    switch (value.get_type_string()) {
    case 's':
        return value.get_string()[0];
    case 'ay':
        return value.get_data_as_bytes();
    default:
        return openDescriptor(value.get_handle());
    }
}

function openValues(values) {
    return Array.from({length: values.n_children()},
        (_, i) => openValue(values.get_child_value(i).get_variant()));
}

// Enters the worker. What it returns is the exit status, like what main() returns.
function enter(name, socket, args) {
    try {
        let result = find(name)(Gio.Socket.new_from_fd(socket), ...args);
        if (result instanceof Promise)
            result = settle(result);
        return typeof result === 'number' ? result & 0xff : 0;
    } catch (error) {
        if (error instanceof Exit)
            return error.status & 0xff;
        logError(error);
        return 1;
    }
}

// Ends the process by the interpreter's own exit(), which warns of rejected promises that
// nothing has handled. It must not be called twice.
function run(name, socket, args) {
    const status = enter(name, socket, args);
    if (exitStatus === null)
        exit(status);
    return status;
}

function handle(request, name, values, socket) {
    const args = openValues(values);

    switch (request) {
    case Request.REQUIRE:
        require(name);
        break;
    case Request.CALL: {
        const called = find(name);
        prepare(() => called(...args));
        break;
    }
    case Request.EVAL:
        prepare(() => evaluate(name, args));
        break;
    case Request.MODULE_PATH:
        toldPath = name.split(':');
        break;
    case Request.FIND:
        find(name);
        break;
    case Request.RUN:
        return run(name, socket, args);
    default:
        throw new Failure(Code.NOT_SUPPORTED, `${request}`);
    }
    return OK;
}

function onRequest(...request) {
    try {
        return [handle(...request), null];
    } catch (error) {
        return error instanceof Failure
            ? [error.code, error.message]
            : [Code.FAILED, describe(error)];
    }
}

try {
    GFork.serve(System.programArgs, onRequest);
} catch (error) {
    printerr(error.message);
    System.exit(2);
}

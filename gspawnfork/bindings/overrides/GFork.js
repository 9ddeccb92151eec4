// GFork.js: what makes the library feel at home in JavaScript
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

const {Gio, GLib} = imports.gi;

// Methods that prepare a template return it, so that calls can be chained.
function chain(prototype, name, convert = (...args) => args) {
    const method = prototype[name];
    prototype[name] = function (...args) {
        method.apply(this, convert(...args));
        return this;
    };
}

// The arguments of a call: `call('f', 'a', 'b')` is the same as `call('f', ['a', 'b'])`.
function words(first, ...rest) {
    return [first, Array.isArray(rest[0]) || rest[0] === null ? rest[0] : rest];
}

function sendOne(template, thing) {
    if (typeof thing === 'string')
        template.send_arg(thing);
    else if (thing instanceof GLib.Bytes || thing instanceof Uint8Array)
        template.send_bytes(thing);
    else if (thing instanceof Gio.Socket)
        template.send_socket(thing);
    else if (thing instanceof Gio.SocketConnection)
        template.send_socket(thing.get_socket());
    else if (thing instanceof Gio.UnixFDList)
        template.send_fd_list(thing);
    else if (typeof thing?.get_fd === 'function')
        template.send_fd(thing.get_fd());
    else if (typeof thing === 'number')
        throw new TypeError('A number is not sent; String() makes it a string, send_fd() takes it as a descriptor');
    else
        throw new TypeError(`${thing} cannot be sent`);
}

// What a function has returned, as bytes; none if it has returned nothing.
function toBytes(data) {
    return data instanceof GLib.Bytes ? data : new GLib.Bytes(data ?? []);
}

// Iterates the main context until the promise is settled, and returns its value or throws.
function settle(promise) {
    const context = GLib.MainContext.default();
    let outcome = null;

    promise.then(value => (outcome = {value}), error => (outcome = {error}));
    while (outcome === null)
        context.iteration(true);
    if ('error' in outcome)
        throw outcome.error;
    return outcome.value;
}

function describe(error) {
    return error instanceof Error && !(error instanceof GLib.Error)
        ? `${error.name}: ${error.message}`
        : error?.message ?? `${error}`;
}

// Does the jobs of a pool, until it has no more. The function receives and returns bytes
// (a Uint8Array), and may be asynchronous. If it throws, the job fails with the message.
function serveJobs(serveBytes, socket, func) {
    return serveBytes(socket.get_fd(), request => {
        try {
            const reply = func(request.toArray());
            return [toBytes(reply instanceof Promise ? settle(reply) : reply), null];
        } catch (error) {
            return [null, describe(error)];
        }
    });
}

function _init() {
    const {Template, Process, Pool, Worker} = this;
    const prototype = Template.prototype;

    for (const name of ['require', 'send_arg', 'send_fd', 'take_fd', 'send_socket', 'send_fd_list',
        'map_fd', 'setenv', 'unsetenv', 'set_environ', 'set_cwd', 'setsid', 'set_limit',
        'die_with_application', 'confine'])
        chain(prototype, name);
    chain(prototype, 'send_bytes',
        data => [data instanceof GLib.Bytes ? data : new GLib.Bytes(data)]);
    chain(prototype, 'call', words);
    chain(prototype, 'eval', words);

    prototype.send = function (...things) {
        for (const thing of things)
            sendOne(this, thing);
        return this;
    };

    Template.new_gjs = () => Template.new_for_runtime('gjs');

    for (const name of ['prepare', 'wait', 'run', 'execv', 'detach'])
        Gio._promisify(prototype, `${name}_async`, `${name}_finish`);
    for (const name of ['wait', 'wait_check'])
        Gio._promisify(Process.prototype, `${name}_async`, `${name}_finish`);
    for (const name of ['start', 'stop', 'replace', 'call', 'call_many', 'acquire'])
        Gio._promisify(Pool.prototype, `${name}_async`, `${name}_finish`);

    Pool.prototype.call = async function (request, cancellable = null) {
        const reply = await this.call_async(toBytes(request), cancellable);
        return reply.toArray();
    };

    const serveBytes = this.serve_bytes;
    this.serveJobs = (socket, func) => serveJobs(serveBytes, socket, func);
    this.workerReady = socket => Worker.ready(socket.get_fd());
}

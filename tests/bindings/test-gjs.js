// test-gjs.js: tests of the library from JavaScript, with workers in C, Python and JavaScript
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

import GFork from 'gi://GFork?version=1.0';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

// Asserting and reporting

function assertEqual(actual, expected) {
    const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (a !== b)
        throw new Error(`${a} is not ${b}`);
}

function assert(truth, what = 'something') {
    if (!truth)
        throw new Error(`${what} is not so`);
}

async function assertError(code, matching, action) {
    try {
        await action();
    } catch (error) {
        if (!(error instanceof GLib.Error) || !error.matches(GFork.Error, code))
            throw error;
        assert(matching.test(error.message), `${matching} in “${error.message}”`);
        return;
    }
    throw new Error('there was no error');
}

// Talking

function write(socket, text) {
    socket.set_blocking(true);
    assertEqual(socket.send(new TextEncoder().encode(text), null), text.length);
}

function readAll(socket) {
    const input = socket.connection_factory_create_connection().get_input_stream();
    const output = Gio.MemoryOutputStream.new_resizable();
    socket.set_blocking(true);
    output.splice(input, Gio.OutputStreamSpliceFlags.CLOSE_TARGET, null);
    return new TextDecoder().decode(output.steal_as_bytes().toArray());
}

async function say(template, func) {
    const [socket, process] = await template.run_async(func, null);
    const said = readAll(socket);
    await process.wait_async(null);
    return [said, process];
}

async function ask(template, func) {
    const [said, process] = await say(template, func);
    assertEqual(process.get_exit_status(), 0);
    return JSON.parse(said);
}

const {Template} = GFork;
const js = Template.new_gjs().require('js-worker');
const tests = {};

// Workers in C

tests['c/constructors'] = () => {
    for (const template of [new Template(), Template.new(), Template.new_exec(),
        new Template({spare_processes: 2}), new Template({runtime: 'c'})]) {
        assertEqual(template.runtime, 'c');
        assert(template.prepare(null));
        assert(template.pid > 0);
    }
};

tests['c/default'] = async () => {
    Template.set_default(Template.new().require('test-worker').send('5'));
    assertEqual((await say(Template.new(), 'leave_with'))[1].get_exit_status(), 5);
    assert(Template.dup_default() instanceof Template);
    Template.set_default(null);
    await assertError(GFork.Error.FUNCTION, /leave_with/,
        () => Template.new().run_async('leave_with', null));
};

tests['c/chaining'] = async () => {
    const template = new Template().require('test-worker').setenv('A', 'b').unsetenv('A')
        .set_cwd('/').call('remember', 'one', 'two').send_arg('x')
        .send('y', new Uint8Array([0]), new GLib.Bytes([122]));
    const [said] = await say(template, 'dump_args');
    assertEqual(said, '1:x\n1:y\n1:\0\n1:z\n');
};

tests['c/chaining-confine'] = async () => {
    const sandbox = new GFork.Sandbox();
    sandbox.set_required(false);
    const template = new Template().require('test-worker').confine(sandbox).send('7');
    assertEqual((await say(template, 'leave_with'))[1].get_exit_status(), 7);
};

tests['c/synchronous'] = () => {
    const [socket, process] = Template.new().send('7').run('test-worker:leave_with', null);
    assertEqual(readAll(socket), '');
    process.wait(null);
    assertEqual(process.get_exit_status(), 7);
};

tests['c/execv'] = async () => {
    const {SEARCH_PATH, SOCKET_STDOUT} = GFork.ExecFlags;
    const [socket, process] = await Template.new().send('there')
        .execv_async(['echo', 'hello'], SEARCH_PATH | SOCKET_STDOUT, null);
    assertEqual(readAll(socket), 'hello there\n');
    assert(await process.wait_check_async(null));
};

tests['c/errors'] = async () => {
    await assertError(GFork.Error.MODULE, /nowhere/, () => Template.new().run('nowhere:f', null));
    await assertError(GFork.Error.MODULE, /nowhere/,
        () => Template.new().run_async('nowhere:f', null));
    await assertError(GFork.Error.FUNCTION, /nothing/,
        () => Template.new().run_async('test-worker:nothing', null));
    await assertError(GFork.Error.CLOSED, /./, () => {
        const template = Template.new();
        template.close();
        return template.prepare_async(null);
    });
};

tests['c/second-run'] = async () => {
    const template = Template.new().send('7');
    await template.run_async('test-worker:leave_with', null);
    await assertError(GFork.Error.CLOSED, /leave_with.*fork it for each worker/,
        () => template.run_async('test-worker:leave_with', null));
};

tests['c/check'] = async () => {
    const [, process] = await Template.new().send('7')
        .run_async('test-worker:leave_with', null);
    try {
        await process.wait_check_async(null);
    } catch (error) {
        assert(error.matches(GLib.spawn_exit_error_quark(), 7), error.message);
        assertEqual(error.message,
            `“test-worker:leave_with” (process ${process.get_pid()}) has exited with status 7`);
        return;
    }
    throw new Error('there was no error');
};

tests['c/what-cannot-be-sent'] = () => {
    for (const thing of [1, null, undefined, {}]) {
        let sent = true;
        try {
            Template.new().send(thing);
        } catch (error) {
            sent = !(error instanceof TypeError);
        }
        assert(!sent);
    }
};

tests['c/cancelling'] = async () => {
    const cancellable = new Gio.Cancellable();
    cancellable.cancel();
    try {
        await Template.new().run_async('test-worker:echo', cancellable);
    } catch (error) {
        assert(error.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED), error.message);
        return;
    }
    throw new Error('there was no error');
};

tests['c/signal-and-source'] = async () => {
    const [, process] = await Template.new().run_async('test-worker:echo', null);
    let status = null;
    process.connect('exited', (_, waitStatus) => (status = waitStatus));
    process.send_signal(15);
    await process.wait_async(null);
    assertEqual(status, 15);
    assertEqual(process.get_term_sig(), 15);
};

// Sends the worker one end of a pair of sockets, and returns what it writes to that.
async function sendSocket(template, func) {
    const [ours, echo] = await Template.new().run_async('test-worker:echo', null);
    const [, process] = await template.send(ours).run_async(func, null);
    await process.wait_check_async(null);
    ours.shutdown(false, true);
    const written = readAll(ours);
    await echo.wait_async(null);
    return written;
}

// What is in the file that the worker sends.
async function receiveFile(template, func) {
    const [socket, process] = await template.run_async(func, null);
    socket.set_blocking(true);
    const fd = socket.connection_factory_create_connection().receive_fd(null);
    const bytes = new Gio.UnixInputStream({fd, close_fd: true}).read_bytes(100, null);
    await process.wait_check_async(null);
    return new TextDecoder().decode(bytes.toArray());
}

tests['c/descriptors'] = async () => {
    const template = Template.new().require('test-worker');
    assertEqual(await sendSocket(template.fork(), 'write_to_args'), 'written by the worker');
    assertEqual(await receiveFile(template.fork(), 'send_back'), 'from the worker');
};

// Workers in Python

tests['python/arguments'] = async () => {
    const template = Template.new_for_runtime('python3').require('py_worker');
    const told = await ask(template.send('héllo', new Uint8Array([0, 255])), 'tell');
    assertEqual(told.args, [['str', 'héllo'], ['bytes', '\0ÿ']]);
};

tests['python/errors'] = async () => {
    const template = Template.new_for_runtime('python3').require('py_worker');
    await assertError(GFork.Error.CALL, /KeyError.*line/,
        () => template.fork().call('fail').prepare_async(null));
    await assertError(GFork.Error.MODULE, /ModuleNotFoundError/,
        () => template.fork().require('nowhere').prepare_async(null));
};

tests['python/status'] = async () => {
    const template = Template.new_for_runtime('python3').send('7');
    const [, process] = await say(template, 'py_worker:exit_with');
    assertEqual(process.get_exit_status(), 7);
};

tests['python/descriptors'] = async () => {
    const template = Template.new_for_runtime('python3').require('py_worker');
    assertEqual(await sendSocket(template.fork(), 'write_to'), 'written by the worker');
    assertEqual(await receiveFile(template.fork(), 'send_back'), 'from the worker');
};

// Workers in JavaScript

tests['js/runtime'] = () => {
    assertEqual(js.runtime, 'gjs');
    assertEqual(js.fork().runtime, 'gjs');
    assert(js.fork().prepare(null));
};

tests['js/property'] = async () => {
    assertEqual(await ask(new Template({runtime: 'gjs'}), 'js-worker:lengths'), []);
};

tests['js/arguments'] = async () => {
    const [file, stream] = Gio.File.new_tmp('gspawnfork-XXXXXX');
    const told = await ask(js.fork().send('héllo', new Uint8Array([0, 255]), '',
        stream.get_output_stream()), 'tell');
    file.delete(null);
    // The class has moved to GioUnix in newer GLib.
    told.args[3][0] = told.args[3][0].replace('GioUnix_', 'Gio_Unix');
    assertEqual(told.args, [['string', 'héllo'], ['bytes', [0, 255]], ['string', ''],
        ['Gio_UnixInputStream']]);
};

tests['js/large-arguments'] = async () => {
    const template = js.fork().send('x'.repeat(70000), new Uint8Array(3000000));
    assertEqual(await ask(template, 'lengths'), [70000, 3000000]);
};

tests['js/forks'] = async () => {
    // What was sent, set and called is there in every fork, and not in the parent.
    const parent = js.fork().send('one').call('remember', 'a').setenv('GFORK_TEST', 'b')
        .set_cwd('/');
    for (const word of ['two', 'three']) {
        const told = await ask(parent.fork().send(word).call('remember', word), 'tell');
        assertEqual(told.args, [['string', 'one'], ['string', word]]);
        assertEqual(told.memory, [['a'], [word]]);
        assertEqual(told.environment.GFORK_TEST, 'b');
        assertEqual(told.cwd, '/');
    }
    assertEqual((await ask(parent, 'tell')).memory, [['a']]);
};

tests['js/forks-of-forks'] = async () => {
    let template = js.fork();
    for (let depth = 0; depth < 4; depth++)
        template = template.fork().call('remember', `${depth}`);
    assertEqual((await ask(template, 'tell')).memory, [['0'], ['1'], ['2'], ['3']]);
};

tests['js/descriptors'] = async () => {
    assertEqual(await sendSocket(js.fork(), 'writeTo'), 'written by the worker');
    assertEqual(await receiveFile(js.fork(), 'sendBack'), 'from the worker');
};

tests['js/title'] = async () => {
    const {title} = await ask(js.fork(), 'tell');
    assert(/^gspawnfork: tell \[\d+\]$/.test(title), title);
};

tests['js/asynchronous-call'] = async () => {
    const template = js.fork().call('rememberLater', 'a');
    assertEqual((await ask(template, 'tell')).memory, [['a']]);
};

tests['js/asynchronous-worker'] = async () => {
    const [said, process] = await say(js.fork().send('word'), 'asynchronous');
    assertEqual(said, 'word');
    assertEqual(process.get_exit_status(), 4);
};

tests['js/statuses'] = async () => {
    for (const [func, status] of [['exitWith', 7], ['exitLater', 7], ['returnStatus', 5],
        ['nothing', 0], ['thrown', 1], ['rejected', 1]]) {
        const [, process] = await say(js.fork().send('7'), func);
        assert(process.get_if_exited(), func);
        assertEqual([func, process.get_exit_status()], [func, status]);
    }
};

tests['js/conversation'] = async () => {
    const [socket, process] = await js.fork().run_async('echo', null);
    write(socket, 'there and back');
    socket.shutdown(false, true);
    assertEqual(readAll(socket), 'there and back');
    await process.wait_check_async(null);
};

// Templates that are there already are told as well.
tests['js/add-module-path'] = async () => {
    const template = Template.new_gjs();
    const directory = GLib.dir_make_tmp('gspawnfork-XXXXXX');
    const file = GLib.build_filenamev([directory, 'of-a-directory.js']);

    assert(template.prepare(null));
    GLib.file_set_contents(file, 'export function found(socket) { socket.send("found", null); }');
    GFork.add_module_path(directory);
    assertEqual((await say(template, 'of-a-directory:found'))[0], 'found');
    GLib.unlink(file);
    GLib.rmdir(directory);
};

tests['js/eval'] = async () => {
    const template = Template.new_gjs().eval(
        'const given = args; function worker(socket) { socket.send(given.join("+"), null); }',
        'a', 'b');
    assertEqual((await say(template, 'worker'))[0], 'a+b');
};

tests['js/errors'] = async () => {
    for (const [prepare, code, matching] of [
        [t => t.require('nowhere'), GFork.Error.MODULE, /nowhere/],
        [t => t.call('fail'), GFork.Error.CALL, /RangeError: no such range.*js-worker.js, line/],
        [t => t.call('failLater'), GFork.Error.CALL, /RangeError: no such range/],
        [t => t.call('notThere'), GFork.Error.FUNCTION, /notThere/],
        [t => t.eval('let a = 1;\na.b.c()'), GFork.Error.CALL, /TypeError.*line 2/],
        [t => t.eval('let a ='), GFork.Error.CALL, /SyntaxError/],
        [t => t.set_cwd('/nowhere'), GFork.Error.FAILED, /\/nowhere/],
    ]) {
        const template = prepare(js.fork());
        await assertError(code, matching, () => template.prepare_async(null));
        await assertError(code, matching, () => template.fork().run_async('nothing', null));
    }

    for (const [func, code, matching] of [
        ['nowhere:f', GFork.Error.MODULE, /nowhere/],
        ['js-worker:f', GFork.Error.FUNCTION, /js-worker:f/],
        ['f', GFork.Error.FUNCTION, /f/],
    ])
        await assertError(code, matching, () => js.fork().run_async(func, null));
};

tests['js/execv'] = async () => {
    const [socket] = await js.fork().send('there')
        .execv_async(['/bin/echo', 'hello'], GFork.ExecFlags.SOCKET_STDOUT, null);
    assertEqual(readAll(socket), 'hello there\n');
    await assertError(GFork.Error.EXEC, /nowhere/,
        () => js.fork().execv_async(['/nowhere'], GFork.ExecFlags.NONE, null));
};

tests['js/kill'] = async () => {
    const [, process] = await js.fork().run_async('echo', null);
    process.force_exit();
    await process.wait_async(null);
    assertEqual(process.get_term_sig(), 9);
};

tests['js/jobs'] = async () => {
    const pool = GFork.Pool.new(js.fork(), 'js-jobs:worker');
    const bytes = text => new TextEncoder().encode(text);
    const ask = async text => new TextDecoder().decode(await pool.call(bytes(text)));

    pool.max_workers = 1;
    pool.wait_for_ready = true;
    await pool.start_async(null);
    assertEqual(await ask('abc'), 'cba');
    assertEqual(await ask('nothing'), '');
    assertEqual(await ask('later'), 'late');
    assertEqual((await ask('x'.repeat(100000))).length, 100000);
    await assertError(GFork.Error.JOB, /^TypeError: of no use$/, () => ask('fail'));
    await assertError(GFork.Error.JOB, /^RangeError: too late$/, () => ask('later fail'));
    assertEqual(await Promise.all(['ab', 'cd', 'ef'].map(ask)), ['ba', 'dc', 'fe']);
    await pool.stop_async(null);
};

tests['the end of a template'] = async () => {
    const template = GFork.Template.new_exec();
    await template.prepare_async(null);
    const ended = template.wait_async(null);
    GLib.spawn_command_line_sync(`kill -KILL ${template.pid}`);
    await assertError(GFork.Error.LOST, /signal 9/, () => ended);

    const closed = GFork.Template.new();
    const closing = closed.wait_async(null);
    closed.close();
    assertEqual(await closing, true);
};

// Running them

const loop = new GLib.MainLoop(null, false);
let failed = 0;

async function runAll() {
    const names = Object.keys(tests);

    print(`1..${names.length}`);
    for (const [i, name] of names.entries()) {
        try {
            await tests[name]();
            print(`ok ${i + 1} ${name}`);
        } catch (error) {
            failed++;
            print(`# ${error}\n${error.stack ?? ''}`.trim().replaceAll('\n', '\n# '));
            print(`not ok ${i + 1} ${name}`);
        }
    }
}

runAll().finally(() => loop.quit());
loop.run();
System.exit(failed > 0 ? 1 : 0);

#!/usr/bin/env -S gjs -m
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

import GFork from 'gi://GFork?version=1.0';
import GLib from 'gi://GLib';

const loop = new GLib.MainLoop(null, false);

async function main() {
    const template = GFork.Template.new_gjs().send('Hello');
    const [socket, process] = await template.run_async('hello-worker:hello', null);
    const connection = socket.connection_factory_create_connection();

    connection.get_output_stream().write_all('world', null);
    const answer = connection.get_input_stream().read_bytes(100, null);
    print(new TextDecoder().decode(answer.toArray()));

    await process.wait_check_async(null);
}

main().catch(logError).finally(() => loop.quit());
loop.run();

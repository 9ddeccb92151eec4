// js-jobs.js: the worker of a pool, for test-gjs.js
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

import GFork from 'gi://GFork?version=1.0';
import GLib from 'gi://GLib';

const decoder = new TextDecoder();

async function later(text) {
    await new Promise(resolve => GLib.idle_add(GLib.PRIORITY_DEFAULT, () => {
        resolve();
        return GLib.SOURCE_REMOVE;
    }));
    if (text === 'later fail')
        throw new RangeError('too late');
    return new TextEncoder().encode('late');
}

function doJob(request) {
    const text = decoder.decode(request);

    if (text.startsWith('later'))
        return later(text);
    if (text === 'fail')
        throw new TypeError('of no use');
    if (text === 'nothing')
        return undefined;
    return request.reverse();
}

export function worker(socket) {
    return GFork.serveJobs(socket, doJob);
}

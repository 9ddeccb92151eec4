/* SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

async void greet () throws Error {
    var template = new GFork.Template ();
    template.send_arg ("Hello");

    GFork.Process process;
    var socket = yield template.run_async ("hello-worker:hello", null, out process);

    socket.set_blocking (true);
    socket.send ("world".data);

    var answer = new uint8[100];
    var length = socket.receive (answer);
    stdout.printf ("%.*s\n", (int) length, (string) answer);

    yield process.wait_check_async (null);
}

int main () {
    var loop = new MainLoop ();
    var status = 0;

    greet.begin ((object, result) => {
        try {
            greet.end (result);
        } catch (Error error) {
            stderr.printf ("%s\n", error.message);
            status = 1;
        }
        loop.quit ();
    });
    loop.run ();

    return status;
}

/* app.vala: an application in Vala that comes from outside the tree
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

int main () {
    try {
        var template = new GFork.Template ();
        template.send_arg ("hello");
        GFork.Process process;
        var socket = template.run ("outside:answer", out process);
        socket.set_blocking (true);
        var buffer = new uint8[100];
        var length = socket.receive (buffer);
        stdout.write (buffer[0:length]);
        process.wait_check ();
        return 0;
    } catch (Error error) {
        stderr.printf ("%s\n", error.message);
        return 1;
    }
}

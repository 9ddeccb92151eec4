// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

export function hello(socket, greeting) {
    const connection = socket.connection_factory_create_connection();
    const name = connection.get_input_stream().read_bytes(100, null);
    const text = `${greeting}, ${new TextDecoder().decode(name.toArray())}!`;

    connection.get_output_stream().write_all(`${text} This is JavaScript.`, null);
}

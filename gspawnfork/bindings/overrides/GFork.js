// GFork.js: what makes the library feel at home in JavaScript
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

function _init() {
}

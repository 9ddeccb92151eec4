// gjs.js: the far end for modules in JavaScript
//
// SPDX-FileCopyrightText: The gspawnfork developers
// SPDX-License-Identifier: LGPL-2.1-or-later

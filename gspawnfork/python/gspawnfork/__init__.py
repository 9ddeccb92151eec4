# __init__.py: the package `gspawnfork`, for applications and for workers in Python
#
# Applications import its modules by name. It imports nothing of GObject's before
# something is started, so that a module that uses it can be loaded in a template.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

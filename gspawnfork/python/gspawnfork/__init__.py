# __init__.py: the package `gspawnfork`, for applications and for workers in Python
#
# Applications import its modules by name. It imports nothing of GObject's before
# something is started, so that a module that uses it can be loaded in a template.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Worker processes forked from prepared templates."""

from .jobs import serve_jobs, worker_ready

__all__ = ['serve_jobs', 'take_args', 'worker_ready']

# What the runtime python3 serves in this process.
_template_here = None


def take_args():
    """Takes the arguments that the template was sent so far, and returns them as a list. They
    are as the function that is run would have received them, and are then not passed to it.

    This is for use inside a function that GFork.Template.call() calls. Elsewhere the list is
    empty."""
    return _template_here.take_args() if _template_here is not None else []

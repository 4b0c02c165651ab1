"""Makes this process like one of Windows: import it before anything else.

What Windows lacks is gone: modules, signals, functions of `os`, forked processes; folders cannot be
opened, nor replaced by others. Paths and `sys.platform` stay.
"""

import errno
import multiprocessing.context
import os
import platform
import shutil
import signal
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

MODULES = {"fcntl", "grp", "pwd", "resource", "termios"}
SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
SIGNALS.add("SIGCHLD")  # torch asks for it by `sys.platform`
FUNCTIONS = (
    "O_DIRECTORY", "O_NONBLOCK", "fork", "forkpty", "geteuid", "getpgid", "getuid", "killpg",
    "mkfifo", "sched_getaffinity", "setpgid", "statvfs", "sync",
)  # fmt: skip


class Absent(MetaPathFinder):
    """Finds none of the modules that Windows lacks."""

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def refuse_folders(function, position):
    """The function, but not for a folder in this place of its arguments."""

    def refusing(*arguments, **named):
        if Path(arguments[position]).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(arguments[position]))
        return function(*arguments, **named)

    return refusing


sys.meta_path.insert(0, Absent())
for name in MODULES:
    sys.modules.pop(name, None)
for name in [n for n in dir(signal) if n.startswith("SIG") and n[3:].isalnum()]:
    if isinstance(getattr(signal, name), signal.Signals) and name not in SIGNALS:
        delattr(signal, name)
signal.valid_signals = lambda: {getattr(signal, name) for name in SIGNALS if hasattr(signal, name)}
for name in FUNCTIONS:
    if hasattr(os, name):
        delattr(os, name)
shutil._use_fd_functions = False  # it opens folders
os.open, os.replace = refuse_folders(os.open, 0), refuse_folders(os.replace, 1)
spawn = multiprocessing.context.SpawnContext()
multiprocessing.context._concrete_contexts = {"spawn": spawn}
multiprocessing.context._default_context._default_context = spawn

system, platform.system = platform.system, lambda: "Windows"
import lightning.fabric.utilities.imports  # noqa: E402, F401 - it asks once, others ask later

platform.system = system

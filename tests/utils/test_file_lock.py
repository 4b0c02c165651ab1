import errno
import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import filelock._unix
import pytest
from filelock import FileLock, Timeout

from srlit.utils.file_lock import exclusive_lock


def is_free(lock):
    try:
        with FileLock(lock, blocking=False):
            return True
    except Timeout:
        return False


def test_who_waits_says_for_what(tmp_path, caplog):
    def hold():
        with exclusive_lock(tmp_path / "lock", "counting"):
            return "held"

    with caplog.at_level(logging.INFO), ThreadPoolExecutor(1) as pool:
        with exclusive_lock(tmp_path / "lock", "counting"):
            waiting = pool.submit(hold)
            while "another process is counting" not in caplog.text:
                assert not waiting.done()
        assert waiting.result() == "held"


KILLED = """
import os, signal, sys
from pathlib import Path
from srlit.utils.file_lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "training"):
    if os.fork() == 0:
        print("held", flush=True)
        sys.stdin.read()  # a child that outlives its parent
        os._exit(0)
    signal.pause()
"""


def test_the_lock_ends_with_a_killed_process_though_its_child_lives(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert not is_free(tmp_path / "lock")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_free(tmp_path / "lock")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, caplog, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock._unix.fcntl, "flock", refuse)
    with caplog.at_level(logging.INFO), exclusive_lock(tmp_path / "lock", "packing"):
        pass
    assert "another process" not in caplog.text
    assert f"{tmp_path / 'lock'} cannot be locked ({os.strerror(number)})" in caplog.text

"""Two at once: one works, the other one waits and finds the work done."""

import errno
import fcntl
import hashlib
import logging
import os
import random
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.progress import Progress

from srlit.data.download import DownloadError, download, fetch_archive, unpack
from srlit.data.download.urls import Archive, Folder
from srlit.data.store import packing
from srlit.utils.file_lock import alone
from tests.data.server import serve

# The package's function has the module's name.
UNPACKING = sys.modules["srlit.data.download.unpack"]
PHOTOS = {f"inner/{i}.png": random.Random(i).randbytes(20_000) for i in range(6)}


@pytest.fixture
def zipped(tmp_path):
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in PHOTOS.items():
            archive.writestr(name, content)
    return path.read_bytes()


@pytest.mark.parametrize("known", [True, False], ids=["with checksum", "without"])
def test_an_archive_that_two_fetch_at_once_is_downloaded_and_unpacked_once(zipped, tmp_path, known):
    """Locks are of open files, not of processes: threads wait for each other as processes do."""
    root = tmp_path / "data"
    with serve(zipped) as (site, address):
        site.slow = 0.005  # half a second for the file
        digest = hashlib.sha256(zipped).hexdigest() if known else None
        archive = Archive(f"{address}/set.zip", digest, None, (Folder("set", ("inner",), 6),))
        with ThreadPoolExecutor(3) as pool:
            for task in [pool.submit(fetch_archive, archive, root) for _ in range(3)]:
                task.result()
    assert len(site.requests) == 1
    assert (root / "set.zip").read_bytes() == zipped
    assert {f"inner/{p.name}": p.read_bytes() for p in (root / "set").iterdir()} == PHOTOS


def test_bytes_of_somebody_else_in_a_download_are_noticed_without_a_checksum(tmp_path, monkeypatch):
    body = random.Random(0).randbytes(100_000)
    target = tmp_path / "set.zip"
    part = tmp_path / ".set.zip.part"

    def update(*_, completed, total):
        if completed == total:
            part.write_bytes(part.read_bytes() + b"more")

    monkeypatch.setattr(Progress, "update", update)
    with serve(body) as (_, address), pytest.raises(DownloadError, match=r"100,\d* bytes arrived"):
        download(f"{address}/set.zip", target, sha256=None, key="paths.data", waits=())
    assert not target.exists()
    assert not part.exists()


def test_photos_that_somebody_removes_while_unpacking_are_missed(zipped, tmp_path, monkeypatch):
    def write(chosen, growing, original=UNPACKING._write):
        yield from original(chosen, growing)
        (growing / "3.png").unlink()

    monkeypatch.setattr(UNPACKING, "_write", write)
    with pytest.raises(DownloadError, match="5 photos were written, expected 6"):
        unpack(tmp_path / "made.zip", tmp_path / "set", key="paths.data", inside=("inner",))
    assert not (tmp_path / "set").exists()


# -- file systems without locks -------------------------------------------------------------------


def refuse(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_file_system_without_locks_is_named_and_no_other_process_is_blamed(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.INFO), packing(tmp_path / "store"):
        pass
    assert "another process" not in caplog.text
    assert "No locks available" in caplog.text
    assert str(tmp_path / "store") in caplog.text


def test_who_waits_says_for_what(tmp_path, caplog):
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(1) as pool:
        with alone(tmp_path / "lock", "counting"):
            waiting = pool.submit(hold, tmp_path / "lock")
            while "another process is counting" not in caplog.text:
                assert not waiting.done()
        waiting.result()


def hold(lock):
    with alone(lock, "counting"):
        pass

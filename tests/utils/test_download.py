"""Downloads from a real server on this machine."""

import random
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256

import pytest
from rich.progress import Progress

from srlit.utils.download import DownloadError, download
from tests.data.server import serve
from tests.helpers import mounted

BODY = random.Random(0).randbytes(100_000)
OTHER = random.Random(1).randbytes(100_000)
SHA256 = sha256(BODY).hexdigest()


@pytest.fixture
def site():
    with serve(BODY) as (site, address):
        site.address = address
        yield site


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "photos.zip"


def fetch(site, target, *, path="/photos.zip", **changes):
    options = {"sha256": SHA256, "key": "paths.data", "waits": (0, 0, 0), "timeout": 5}
    download(site.address + path, target, **(options | changes))


def fetch_all(site, target, **changes):
    """Fetch the file, and see that it is what the site has."""
    fetch(site, target, **changes)
    assert target.read_bytes() == site.body


def fails(site, target, match, **changes):
    with pytest.raises(DownloadError, match=match):
        fetch(site, target, **changes)


def part_of(target):
    return target.with_name(f".{target.name}.part")


def leave_part(site, target, size, **changes):
    """Leave what a download that was cut after `size` bytes leaves."""
    site.cuts.append(size)
    fails(site, target, "kept", waits=(), **changes)
    assert part_of(target).read_bytes() == site.body[:size]
    site.requests.clear()


# -- resuming -----------------------------------------------------------------------------------


def test_a_file_arrives_whole_and_is_not_requested_again(site, target):
    for _ in range(2):
        fetch_all(site, target, size=len(BODY))
    assert list(target.parent.iterdir()) == [target]
    assert len(site.requests) == 1


def test_each_cut_is_resumed(site, target):
    site.cuts.extend([10_000, 20_000, 1, 30_000, 5_000])
    fetch_all(site, target, waits=(0,))  # progress starts the waits afresh
    offsets = [None, 10_000, 30_000, 30_001, 60_001, 65_001]
    assert site.asked_ranges == [n and f"bytes={n}-" for n in offsets]
    assert {headers.get("If-Range") for headers in site.requests[1:]} == {'"first"'}


def test_the_progress_bar_starts_at_the_resumed_byte(site, target, monkeypatch):
    leave_part(site, target, 70_000)
    told = []
    update = lambda *_, completed, total: told.append((completed, total))  # noqa: E731
    monkeypatch.setattr(Progress, "update", update)
    fetch(site, target)
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((70_000, 100_000), (100_000, 100_000))


def test_last_modified_stands_in_for_a_strong_etag(site, target):
    site.etag, site.modified = 'W/"weak"', "Tue, 14 Feb 2017 01:58:09 GMT"
    leave_part(site, target, 40_000, sha256=None)
    fetch_all(site, target, sha256=None)
    assert site.asked_ranges == ["bytes=40000-"]
    assert site.requests[0]["If-Range"] == site.modified


@pytest.mark.parametrize(("checksum", "asked"), [(SHA256, "bytes=40000-"), (None, None)])
def test_without_a_validator_only_a_checksum_allows_resuming(site, target, checksum, asked):
    site.etag = None
    leave_part(site, target, 40_000, sha256=checksum)
    fetch_all(site, target, sha256=checksum)
    assert site.asked_ranges == [asked]


NEW = {"body": OTHER, "etag": '"second"'}
CHANGES = {
    "another version": NEW,
    "another version, If-Range ignored": NEW | {"heeds_if_range": False},
    "shorter than the part": {"body": OTHER[:30_000], "heeds_if_range": False},
    "another offset": {"shift": -10},
    "no ranges": {"ranges": False},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_part_that_does_not_fit_the_answer_is_discarded(site, target, change):
    leave_part(site, target, 40_000, sha256=None)
    vars(site).update(change)
    fetch_all(site, target, sha256=None)
    assert site.asked_ranges[0] == "bytes=40000-"


DAMAGES = [
    (lambda part: part.write_bytes(bytes(70_000)), ["bytes=70000-", None]),
    (lambda part: part.write_bytes(bytes(100_001)), [None]),
    (lambda part: part.with_name(f"{part.name}.json").write_text("[1]"), [None]),
    (lambda part: part.with_name(f"{part.name}.json").write_text("[" * 10**5), [None]),
    (lambda part: part.with_name(f"{part.name}.json").write_text('{"url": 1}'), [None]),
    (lambda part: part.write_bytes(BODY), []),  # killed before the rename: no request
]


@pytest.mark.parametrize(("damage", "asked"), DAMAGES)
def test_a_part_changed_on_the_disk(site, target, damage, asked):
    leave_part(site, target, 40_000)
    damage(part_of(target))
    fetch_all(site, target)
    assert site.asked_ranges == asked


def test_a_part_of_another_address_is_discarded(site, target):
    leave_part(site, target, 40_000)
    fetch_all(site, target, path="/elsewhere.zip")
    assert site.asked_ranges == [None]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from rich.progress import Progress
from srlit.utils.download import download
signal.signal(signal.SIGINT, signal.default_int_handler)
def update(*_, completed, total):
    if completed > 20_000:
        os.kill(os.getpid(), int(sys.argv[4]))
Progress.update = update
url, target, digest = sys.argv[1:4]
download(url, Path(target), sha256=digest, key="paths.data")
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_stops_midway_is_resumed(site, target, how):
    arguments = [f"{site.address}/photos.zip", str(target), SHA256, str(int(how))]
    site.slow = 0.001  # the file comes in pieces
    command = [sys.executable, "-c", SCRIPT, *arguments]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert not target.exists()
    arrived = part_of(target).stat().st_size
    assert 20_000 < arrived < len(BODY)
    fetch_all(site, target)
    assert site.asked_ranges == [None, f"bytes={arrived}-"]


# -- servers that fail --------------------------------------------------------------------------


def test_a_server_that_hangs_is_asked_for_the_rest(site, target):
    site.hangs.append(30_000)
    fetch_all(site, target, timeout=0.3)
    assert site.asked_ranges == [None, "bytes=30000-"]


def test_waits_grow_and_end(site, target, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    site.statuses.extend([500, 503, 429, 408])
    fails(site, target, "408", waits=(1, 4, 16))
    assert [seconds for seconds in slept if seconds] == [1, 4, 16]


def test_bytes_that_arrived_before_are_no_progress(site, target):
    site.ranges, site.always_cut = False, 60_000
    fails(site, target, "60,000 of 100,000")
    assert len(site.requests) == 4


def test_a_missing_file_is_an_error_at_once(site, target):
    site.statuses.append(404)
    fails(site, target, f"{site.address}/photos.zip: .*404.*{target}")
    assert len(site.requests) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "file:///etc/passwd"])
def test_nobody_listening_and_other_schemes(target, url):
    with pytest.raises(DownloadError, match=url):
        download(url, target, sha256=None, key="paths.data", waits=(0,))


# -- sizes and checksums ------------------------------------------------------------------------


def test_wrong_bytes_are_downloaded_once_more(site, target):
    site.bodies.append(OTHER)
    fetch_all(site, target)
    assert site.asked_ranges == [None, None]


def test_wrong_bytes_twice_are_an_error_and_leave_nothing(site, target):
    site.body = OTHER
    fails(site, target, f"{sha256(OTHER).hexdigest()}.*{SHA256}")
    assert list(target.parent.iterdir()) == []
    assert len(site.requests) == 2


@pytest.mark.parametrize(("error", "expected"), [(1_000, "101,000"), (-1_000, SHA256)])
def test_a_wrong_content_length(site, target, error, expected):
    site.length_error = error
    fails(site, target, expected, waits=())
    assert not target.exists()


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_a_server_that_tells_no_length(site, target, size):
    site.sends_length = False
    fetch_all(site, target, size=size)


def test_another_size_than_known_is_an_error_before_any_byte(site, target):
    fails(site, target, "100,000 bytes, expected 99", size=99)
    assert not part_of(target).exists()


def test_a_file_put_there_by_hand_must_have_the_right_size(site, target):
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    fails(site, target, "99,999 bytes, expected 100,000", size=len(BODY))


def test_bytes_that_another_process_adds_are_noticed(site, target, monkeypatch):
    def update(*_, completed, total):
        if completed == total:
            part_of(target).write_bytes(BODY + b"more")

    monkeypatch.setattr(Progress, "update", update)
    fails(site, target, "100,004 of 100,000", sha256=None, waits=())
    assert list(target.parent.iterdir()) == []


# -- disks --------------------------------------------------------------------------------------


def test_only_the_missing_bytes_need_space(site, target, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=50_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    fails(site, target, r"100.0 kB.*50.0 kB.*paths\.data")
    assert not part_of(target).exists()
    monkeypatch.undo()
    leave_part(site, target, 60_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    fetch_all(site, target)


def test_a_disk_that_fills_up_keeps_what_arrived(site, tmp_path):
    site.sends_length = False  # so that it cannot be known before
    with mounted(tmp_path / "disk", "size=64k") as disk:
        fails(site, disk / "photos.zip", r"paths\.data")
        kept = part_of(disk / "photos.zip").read_bytes()
        assert kept
        assert BODY.startswith(kept)
        assert not (disk / "photos.zip").exists()


def test_a_folder_that_cannot_be_made(site, tmp_path):
    (tmp_path / "data").write_text("no folder")
    fails(site, tmp_path / "data" / "photos.zip", r"paths\.data")

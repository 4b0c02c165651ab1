"""Downloads from a real server on this machine."""

import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from rich.progress import Progress

from srlit.data.download import CATALOGUE, DownloadError, download
from tests.data.server import serve

CONF = Path(__file__).parents[2] / "conf" / "data"
BODY = random.Random(0).randbytes(100_000)
OTHER = random.Random(1).randbytes(100_000)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def site():
    with serve(BODY) as (site, address):
        site.address = address
        yield site


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "photos.zip"


def fetch(site, target, *, path="/photos.zip", **changes):
    options = {"sha256": sha256(BODY), "key": "paths.data", "waits": (0, 0, 0), "timeout": 5}
    download(site.address + path, target, **(options | changes))


def part_of(target):
    return target.with_name(f".{target.name}.part")


def leave_part(site, target, size, **changes):
    """What a download that was cut after so many bytes leaves."""
    site.cuts.append(size)
    with pytest.raises(DownloadError):
        fetch(site, target, waits=(), **changes)
    assert part_of(target).read_bytes() == site.body[:size]
    site.requests.clear()


# -- downloading --------------------------------------------------------------------------------


def test_a_file_arrives_whole_with_a_record_and_nothing_else(site, target):
    fetch(site, target, size=len(BODY))
    assert target.read_bytes() == BODY
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "photos.zip",
        "photos.zip.json",
    ]
    record = json.loads(target.with_name("photos.zip.json").read_text())
    assert record == {
        "url": f"{site.address}/photos.zip",
        "size": len(BODY),
        "sha256": sha256(BODY),
    }


def test_a_file_that_is_there_is_not_asked_for(site, target):
    fetch(site, target)
    site.requests.clear()
    fetch(site, target)
    assert site.requests == []


def test_a_file_put_there_by_hand_must_have_the_right_size(site, target):
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    with pytest.raises(DownloadError, match="99,999 bytes, expected 100,000; remove the file"):
        fetch(site, target, size=len(BODY))


def test_a_connection_cut_several_times_is_taken_up_each_time(site, target):
    site.cuts.extend([10_000, 20_000, 1, 30_000, 5_000])
    fetch(site, target, waits=(0,))  # one more try each, as every try brings bytes
    assert target.read_bytes() == BODY
    offsets = [None, 10_000, 30_000, 30_001, 60_001, 65_001]
    assert site.asked_ranges == [n and f"bytes={n}-" for n in offsets]
    assert {headers.get("If-Range") for headers in site.requests[1:]} == {'"first"'}


def test_the_next_run_goes_on_and_checks_the_bytes_of_both(site, target):
    leave_part(site, target, 70_000)
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == ["bytes=70000-"]


def test_the_bar_begins_at_the_byte_gone_on_from_and_ends_at_the_last(site, target, monkeypatch):
    leave_part(site, target, 70_000)
    told = []

    def update(bar, task, *, completed, total):
        told.append((completed, total))

    monkeypatch.setattr(Progress, "update", update)
    fetch(site, target)
    assert told[0] == (70_000, 100_000)
    assert told[-1] == (100_000, 100_000)
    assert told == sorted(told)


def test_a_part_whose_bytes_changed_on_the_disk_costs_one_fresh_try(site, target):
    leave_part(site, target, 70_000)
    part_of(target).write_bytes(bytes(70_000))
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == ["bytes=70000-", None]


def test_without_etag_the_time_of_change_tells_versions_apart(site, target):
    site.etag, site.modified = 'W/"weak"', "Tue, 14 Feb 2017 01:58:09 GMT"
    leave_part(site, target, 40_000, sha256=None)
    fetch(site, target, sha256=None)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == ["bytes=40000-"]
    assert site.requests[0]["If-Range"] == site.modified


@pytest.mark.parametrize(("known", "asked"), [(sha256(BODY), "bytes=40000-"), (None, None)])
def test_a_server_without_versions_is_gone_on_with_only_if_a_checksum_can_tell(
    site, target, known, asked
):
    site.etag = None
    leave_part(site, target, 40_000, sha256=known)
    fetch(site, target, sha256=known)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [asked]


@pytest.mark.parametrize("heeds", [True, False], ids=["if-range", "no-if-range"])
def test_a_file_that_changed_on_the_server_starts_afresh(site, target, heeds):
    leave_part(site, target, 40_000, sha256=None)
    site.body, site.etag, site.heeds_if_range = OTHER, '"second"', heeds
    fetch(site, target, sha256=None)
    assert target.read_bytes() == OTHER
    assert site.asked_ranges == ["bytes=40000-", None][: 1 if heeds else 2]


def test_a_file_that_became_shorter_than_the_part_starts_afresh(site, target):
    leave_part(site, target, 40_000, sha256=None)
    site.body, site.heeds_if_range = OTHER[:30_000], False
    fetch(site, target, sha256=None)
    assert target.read_bytes() == OTHER[:30_000]
    assert site.asked_ranges == ["bytes=40000-", None]


def test_a_partial_answer_from_another_position_is_not_appended(site, target):
    leave_part(site, target, 40_000, sha256=None)
    site.shift = -10
    fetch(site, target, sha256=None)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == ["bytes=40000-", None]


def test_a_part_of_another_address_is_not_gone_on_with(site, target):
    leave_part(site, target, 40_000)
    fetch(site, target, path="/elsewhere.zip")
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None]


def test_a_part_longer_than_the_file_is_not_gone_on_with(site, target):
    leave_part(site, target, 40_000)
    part_of(target).write_bytes(bytes(len(BODY) + 1))
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None]


@pytest.mark.parametrize("memo", ["", "[1]", '{"url": 1}'])
def test_a_part_with_a_damaged_memo_is_not_trusted(site, target, memo):
    leave_part(site, target, 40_000)
    part_of(target).with_name(".photos.zip.part.json").write_text(memo)
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None]


def test_a_server_that_ignores_ranges_starts_afresh(site, target):
    site.ranges = False
    site.cuts.append(60_000)
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None, "bytes=60000-"]


def test_a_server_that_ignores_ranges_and_always_cuts_is_given_up(site, target):
    site.ranges, site.always_cut = False, 60_000
    with pytest.raises(DownloadError, match="ended after 60,000 of 100,000 bytes; gave up"):
        fetch(site, target)
    assert len(site.requests) == 4  # no patience is renewed by bytes that came before


def test_a_part_that_is_whole_needs_no_request(site, target):
    """Killed between the last byte and the rename."""
    leave_part(site, target, 99_999)
    with part_of(target).open("ab") as file:
        file.write(BODY[-1:])
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.requests == []


def test_a_redirection_is_followed_with_the_range(site, target):
    site.cuts.append(50_000)
    fetch(site, target, path="/moved/photos.zip")
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None, None, "bytes=50000-", "bytes=50000-"]


def test_a_busy_server_is_asked_again(site, target):
    site.statuses.extend([503, 429])
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert len(site.requests) == 3


def test_a_missing_file_is_an_error_at_once_that_says_what_to_do(site, target):
    site.statuses.append(404)
    with pytest.raises(DownloadError) as error:
        fetch(site, target)
    assert "404 Not Found" in str(error.value)
    assert f"{site.address}/photos.zip" in str(error.value)
    assert f"by hand and place it at {target}" in str(error.value)
    assert len(site.requests) == 1


def test_a_server_that_hangs_is_left_and_asked_for_the_rest(site, target):
    site.hangs.append(30_000)
    fetch(site, target, timeout=0.3)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None, "bytes=30000-"]


def test_waits_grow_and_end(site, target, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    site.statuses.extend([500] * 4)
    with pytest.raises(DownloadError, match="500 Internal Server Error; gave up"):
        fetch(site, target, waits=(1, 4, 16))
    assert [seconds for seconds in slept if seconds] == [1, 4, 16]


def test_nobody_listening_is_a_clear_error(target):
    with serve(b"") as (_, address):
        pass
    with pytest.raises(DownloadError, match="Connection refused.*gave up"):
        download(f"{address}/x", target, sha256=None, key="paths.data", waits=(0,))


def test_other_schemes_are_refused(target):
    with pytest.raises(DownloadError, match="expected an address that begins with https://"):
        download("file:///etc/passwd", target, sha256=None, key="paths.data")


# -- sizes and checksums ------------------------------------------------------------------------


def test_wrong_bytes_are_fetched_once_more(site, target):
    site.bodies.append(OTHER)
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None, None]


def test_bytes_wrong_twice_are_an_error_and_leave_nothing(site, target):
    site.body = OTHER
    with pytest.raises(DownloadError) as error:
        fetch(site, target)
    for named in (site.address, sha256(BODY), sha256(OTHER)):
        assert named in str(error.value)
    assert list(target.parent.iterdir()) == []
    assert len(site.requests) == 2


def test_without_a_checksum_the_one_found_is_recorded_and_logged(site, target, caplog):
    caplog.set_level("INFO")
    fetch(site, target, sha256=None)
    assert sha256(BODY) in caplog.text
    record = json.loads(target.with_name("photos.zip.json").read_text())
    assert record["sha256"] == sha256(BODY)


def test_a_content_length_that_is_too_large_is_given_up(site, target, caplog):
    site.length_error = 1_000
    with pytest.raises(DownloadError, match="gave up"):
        fetch(site, target, sha256=None)
    assert "the connection ended after 100,000 of 101,000 bytes" in caplog.text
    assert not target.exists()


def test_a_content_length_that_is_too_small_is_found_by_the_checksum(site, target):
    site.length_error = -1_000
    with pytest.raises(DownloadError, match="expected .* twice"):
        fetch(site, target)
    assert not target.exists()


def test_another_size_than_expected_is_an_error_before_any_byte(site, target):
    with pytest.raises(DownloadError, match="the server has 100,000 bytes, expected 99"):
        fetch(site, target, size=99)
    assert len(site.requests) == 1
    assert not part_of(target).exists()


def test_a_server_that_tells_no_size_is_believed_with_a_warning(site, target, caplog):
    site.sends_length = False
    fetch(site, target, sha256=None)
    assert target.read_bytes() == BODY
    assert "a cut would not show" in caplog.text


def test_an_expected_size_shows_a_cut_where_the_server_tells_none(site, target):
    site.sends_length = False
    site.cuts.append(60_000)
    fetch(site, target, sha256=None, size=len(BODY))
    assert target.read_bytes() == BODY


# -- the disk -----------------------------------------------------------------------------------


def test_too_little_room_is_an_error_before_any_byte(site, target, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=50_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DownloadError) as error:
        fetch(site, target)
    assert "100.0 kB more are needed" in str(error.value)
    assert "50.0 kB are free" in str(error.value)
    assert "paths.data" in str(error.value)
    assert not part_of(target).exists()


def test_only_the_missing_bytes_need_room(site, target, monkeypatch):
    leave_part(site, target, 60_000)
    usage = shutil.disk_usage("/")._replace(free=50_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    fetch(site, target)
    assert target.read_bytes() == BODY


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB; skips where it may not be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_is_a_clear_error_and_keeps_what_arrived(site, small_disk):
    site.sends_length = False  # so that it cannot be known before
    target = small_disk / "photos.zip"
    with pytest.raises(DownloadError, match="No space left on device.*paths.data"):
        fetch(site, target)
    kept = part_of(target).read_bytes()
    assert kept
    assert BODY.startswith(kept)
    assert not target.exists()


def test_a_folder_that_cannot_be_made_is_a_clear_error(site, tmp_path):
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(DownloadError, match="see that paths.data is a folder"):
        fetch(site, tmp_path / "data" / "photos.zip")


# -- interruptions ------------------------------------------------------------------------------

SCRIPT = """
import signal
import sys
from pathlib import Path
from srlit.data.download import download
# A shell's background jobs ignore Ctrl-C, and so does all that they start: these tests may be one.
signal.signal(signal.SIGINT, signal.default_int_handler)
url, target, digest = sys.argv[1:]
download(url, Path(target), sha256=digest, key="paths.data")
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_stopped_midway_is_gone_on_with(site, target, how):
    site.slow = 0.02  # two seconds in all
    url = f"{site.address}/photos.zip"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, str(target), sha256(BODY)], stderr=subprocess.PIPE
    )
    wait_until(lambda: part_of(target).exists() and part_of(target).stat().st_size > 20_000)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert not target.exists()
    arrived = part_of(target).stat().st_size
    assert 0 < arrived < len(BODY)
    site.slow = 0.0
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.asked_ranges == [None, f"bytes={arrived}-"]


def wait_until(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited half a minute in vain")


# -- the catalogue ------------------------------------------------------------------------------


def test_the_catalogue_is_complete_and_well_formed():
    assert set(CATALOGUE) == {"div2k", "flickr2k", "df2k", "bsds400", "bsd100"}
    for archive in {archive for archives in CATALOGUE.values() for archive in archives}:
        assert archive.url.startswith("https://")
        assert Path(archive.file).suffix in {".zip", ".tar", ".tgz"}
        assert "/" not in archive.file
        assert archive.sha256 is None or len(bytes.fromhex(archive.sha256)) == 32
        assert all(folder.photos for folder in archive.folders)


@pytest.mark.parametrize("name", CATALOGUE)
def test_all_folders_of_a_public_data_set_come_from_its_archives(name):
    photos = OmegaConf.load(CONF / f"{name}.yaml").photos
    configured = re.findall(r"\$\{paths\.data\}/(\w+)", str(OmegaConf.to_container(photos)))
    assert configured
    made = {folder.name for archive in CATALOGUE[name] for folder in archive.folders}
    assert set(configured) <= made

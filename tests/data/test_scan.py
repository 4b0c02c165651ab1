"""What is scanned again, and what is not."""

import json
import multiprocessing
import os
import shutil
import signal
import sys

import numpy as np
import pytest
from PIL import Image

from srlit.data import scan
from srlit.data.store import PackedStore, packing
from tests.data.photos import audit, audited, images_in


@pytest.fixture
def scanned(monkeypatch):
    """The files that are decoded from here on."""
    paths = []
    original = scan.scan_file

    def scan_file(path, writer):
        paths.append(path)
        return original(path, writer)

    monkeypatch.setattr(scan, "scan_file", scan_file)
    return paths


# -- the store ------------------------------------------------------------------------------------


def test_pixels_that_the_store_has_are_not_written_again(photo_folder, tmp_path):
    store, cache = tmp_path / "store", tmp_path / "cache"
    audited(photo_folder, store=store, cache=cache)
    for path in photo_folder.iterdir():
        path.touch()
    audited(photo_folder, store=store, cache=cache)
    assert images_in(store) == 12
    shutil.rmtree(cache)
    audited(photo_folder, store=store, cache=cache)
    assert images_in(store) == 12
    Image.new("RGB", (50, 60), (1, 2, 3)).save(photo_folder / "new.png")
    audited(photo_folder.rename(tmp_path / "moved"), store=store, cache=cache)
    assert images_in(store) == 13


# -- the cache ------------------------------------------------------------------------------------


def test_another_folder_in_the_set_costs_only_its_own_files(photo_folder, tmp_path, scanned):
    options = {"cache": tmp_path / "cache"}
    first = sorted(photo_folder.iterdir())
    audit(first, **options)
    more = photo_folder / "more"
    more.mkdir()
    shutil.copy(first[0], more / "x.png")
    scanned.clear()
    audit([*first, more / "x.png"], **options)
    assert scanned == [more / "x.png"]
    scanned.clear()
    audit([more / "x.png"], **options)
    audit(first, **options)
    assert scanned == []


def test_a_changed_file_is_scanned_again(photo_folder, tmp_path, scanned, monkeypatch):
    before = audited(photo_folder, cache=tmp_path / "cache")
    Image.new("RGB", (50, 60)).save(photo_folder / "03.png")
    scanned.clear()
    monkeypatch.chdir(photo_folder.parent)
    assert len(audited(photo_folder.name, cache=tmp_path / "cache")) == 12
    assert [path.resolve() for path in scanned] == [photo_folder / "03.png"]
    after = audited(photo_folder, cache=tmp_path / "cache")
    assert after[3][1:3] == (50, 60)
    assert after[:3] + after[4:] == before[:3] + before[4:]


def test_two_files_that_change_places_are_scanned(tmp_path, scanned):
    """Of one size and one time of change, as of a camera's burst of BMPs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate("ab"):
        Image.new("RGB", (40, 40), (i, 0, 0)).save(folder / f"{name}.bmp")
        os.utime(folder / f"{name}.bmp", ns=(10**18, 10**18))
    before = audited(folder, cache=tmp_path / "cache")
    for old, new in (("a.bmp", "c"), ("b.bmp", "a.bmp"), ("c", "b.bmp")):
        (folder / old).rename(folder / new)
    after = audited(folder, cache=tmp_path / "cache")
    assert [photo.digest for photo in after] == [photo.digest for photo in before][::-1]


DAMAGED = [
    {"format": 4, "entries": {"03.png": entry}}
    for entry in ([3, "", [1, 2], "x", []], [None, "", [1], "x", []], [None, "", [1, 2], 7, []])
]


@pytest.mark.parametrize(
    "damaged", [None, "[" * 100_000, {"format": 0, "entries": {}}, *DAMAGED], ids=range(6)
)
def test_a_damaged_cache_costs_one_scan(photo_folder, tmp_path, scanned, damaged):
    cache = tmp_path / "cache"
    first = audited(photo_folder, cache=cache)
    (file,) = cache.glob("*.json")
    file.write_text(damaged if isinstance(damaged, str) else json.dumps(damaged))
    scanned.clear()
    assert audited(photo_folder, cache=cache) == first
    assert len(scanned) == 12
    assert audited(photo_folder, cache=cache) == first
    assert len(scanned) == 12


# -- decoders that crash --------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs forked processes")
def test_a_stopped_process_costs_a_second_scan_and_a_file_that_hangs_only_itself(
    tmp_path, monkeypatch
):
    """One of ten photos stops its process once, another one each time."""
    folder, once = tmp_path / "photos", tmp_path / "once"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for i in range(10):
        noise[0, 0] = i
        Image.fromarray(noise).save(folder / f"{i:02}.png")
    decode = scan.decode

    def stop(path):
        if path.name == "07.png" or (path.name == "02.png" and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return decode(path)

    changes = {"decode": stop, "SILENCE": 2, "SMALL": 0, "MIN_CHUNK": 1, "cores": lambda: 2}
    for name, value in changes.items():
        monkeypatch.setattr(scan, name, value)
    found = audit(sorted(folder.iterdir()), max_invalid_fraction=1)
    assert [path.name for path, _ in found.rejected] == ["07.png"]
    assert len(found.photos) == 9
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs forked processes")
def test_a_decoder_crash_costs_only_its_own_file(tmp_path, monkeypatch):
    """Two of thirty photos kill the process; a part holds a few of them."""
    folder, log = tmp_path / "photos", tmp_path / "alone"
    folder.mkdir()
    log.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for i in range(30):
        noise[0, 0] = i
        Image.fromarray(noise).save(folder / f"{i:02}.png")
    decode, by_process = scan.decode, scan._processes

    def crash(path):
        return os._exit(7) if path.name in {"05.png", "17.png"} else decode(path)

    def count(processes):
        if processes == 1:
            (log / f"{len(list(log.iterdir()))}").touch()
        return by_process(processes)

    changes = {"decode": crash, "_processes": count, "SMALL": 0, "MIN_CHUNK": 1, "cores": lambda: 2}
    for name, value in changes.items():
        monkeypatch.setattr(scan, name, value)
    store = tmp_path / "store"
    found = audit(sorted(folder.iterdir()), max_invalid_fraction=1, store=store)
    assert [path.name for path, _ in found.rejected] == ["05.png", "17.png"]
    assert all("the decoder crashed" in reason for _, reason in found.rejected)
    assert set(PackedStore(store)) == {photo.digest for photo in found.photos}
    assert len(found.photos) == 28
    assert len(list(log.iterdir())) < 20  # most files went through pools of several
    with packing(store):  # what the two left is removed by the next one
        assert not list(store.glob(".*.tmp*"))

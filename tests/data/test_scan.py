"""What is looked at again, and what is not."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from srlit.data import PackedStore, audit, scan
from srlit.data.scan import Entry
from srlit.data.store import packing
from tests.data.photos import audited


@pytest.fixture
def looked(monkeypatch):
    """The files that are decoded from here on."""
    paths = []
    original = scan.look

    def look(path, writer):
        paths.append(path)
        return original(path, writer)

    monkeypatch.setattr(scan, "look", look)
    return paths


def pictures_in(store):
    return sum(len(load_file(shard)) for shard in store.glob("[!.]*.safetensors"))


# -- the store ------------------------------------------------------------------------------------


def test_pixels_that_the_store_has_are_not_written_again(photo_folder, tmp_path):
    store, cache = tmp_path / "store", tmp_path / "cache"
    audited(photo_folder, store=store, cache=cache)
    for path in photo_folder.iterdir():
        path.touch()
    audited(photo_folder, store=store, cache=cache)
    assert pictures_in(store) == 12
    shutil.rmtree(cache)
    audited(photo_folder, store=store, cache=cache)
    assert pictures_in(store) == 12
    Image.new("RGB", (50, 60), (1, 2, 3)).save(photo_folder / "new.png")
    audited(photo_folder.rename(tmp_path / "moved"), store=store, cache=cache)
    assert pictures_in(store) == 13


def test_a_shard_without_a_picture_never_appears(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "bad.png").write_text("no image")
    names = []
    monkeypatch.setattr(os, "replace", lambda *names_: names.append(names_))
    monkeypatch.setattr(type(folder), "replace", lambda *names_: names.append(names_))
    scan.scan_files([folder / "bad.png"], tmp_path / "store" / "x.safetensors")
    assert names == []
    assert list((tmp_path / "store").iterdir()) == []


# -- the cache ------------------------------------------------------------------------------------


def test_another_folder_in_the_set_leaves_the_others_known(photo_folder, tmp_path, looked):
    options = {"min_size": 1, "max_invalid_fraction": 0, "cache": tmp_path / "cache"}
    first = sorted(photo_folder.iterdir())
    audit(first, **options)
    more = photo_folder / "more"
    more.mkdir()
    shutil.copy(first[0], more / "x.png")
    looked.clear()
    audit([*first, more / "x.png"], **options)
    assert looked == [more / "x.png"]
    looked.clear()
    audit([more / "x.png"], **options)
    audit(first, **options)
    assert looked == []


def test_a_file_is_known_however_its_folder_is_given(photo_folder, tmp_path, looked, monkeypatch):
    audited(photo_folder, cache=tmp_path / "cache")
    looked.clear()
    monkeypatch.chdir(photo_folder.parent)
    assert len(audited(photo_folder.name, cache=tmp_path / "cache")) == 12
    assert looked == []


def test_two_files_that_change_places_are_looked_at(tmp_path, looked):
    """Of one size and one time of change, as of a camera's burst of BMPs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate("ab"):
        Image.new("RGB", (40, 40), (i, 0, 0)).save(folder / f"{name}.bmp")
        os.utime(folder / f"{name}.bmp", ns=(10**18, 10**18))
    before = audited(folder, cache=tmp_path / "cache")
    (folder / "a.bmp").rename(folder / "c")
    (folder / "b.bmp").rename(folder / "a.bmp")
    (folder / "c").rename(folder / "b.bmp")
    after = audited(folder, cache=tmp_path / "cache")
    assert [photo.digest for photo in after] == [photo.digest for photo in before][::-1]


@pytest.mark.parametrize(
    "damaged",
    [
        5,
        None,
        {},
        [],
        {"unknown": 1},
        {"stamp": 3, "size": [1, 2], "digest": "x", "notes": [], "reason": ""},
        {"stamp": None, "size": ["1", 2], "digest": "x", "notes": [], "reason": ""},
        {"stamp": None, "size": [1], "digest": "x", "notes": [], "reason": ""},
        {"stamp": None, "size": [1, 2], "digest": 7, "notes": [], "reason": ""},
        {"stamp": None, "size": [1, 2], "digest": "x", "notes": [7], "reason": ""},
        {"stamp": None, "size": [1, 2], "digest": "x", "notes": [], "reason": 1},
    ],
    ids=str,
)
def test_a_damaged_entry_of_the_cache_costs_one_look(photo_folder, tmp_path, looked, damaged):
    cache = tmp_path / "cache"
    first = audited(photo_folder, cache=cache)
    (file,) = cache.glob("*.json")
    stored = json.loads(file.read_text())
    (name,) = [name for name in stored["entries"] if name.endswith("03.png")]
    if isinstance(damaged, dict) and damaged.get("stamp", 0) is None:
        damaged = damaged | {"stamp": stored["entries"][name]["stamp"]}
    stored["entries"][name] = damaged
    file.write_text(json.dumps(stored))
    looked.clear()
    assert audited(photo_folder, cache=cache) == first
    assert looked == [photo_folder / "03.png"]


def test_an_entry_goes_through_json_and_back():
    entry = Entry((1, 2, 3), "", (4, 5), "ab", ("gray", "rotated"))
    assert Entry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


# -- decoders that crash --------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs forked processes")
def test_a_decoder_that_crashes_keeps_no_other_file_out_of_the_store(tmp_path, monkeypatch):
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
        if path.name in {"05.png", "17.png"}:
            os._exit(7)
        return decode(path)

    def count(processes):
        if processes == 1:
            (log / f"{len(list(log.iterdir()))}").touch()
        return by_process(processes)

    monkeypatch.setattr(scan, "decode", crash)
    monkeypatch.setattr(scan, "_processes", count)
    monkeypatch.setattr(scan, "SMALL", 0)
    monkeypatch.setattr(scan, "LEAST", 1)
    monkeypatch.setattr(scan, "cores", lambda: 2)
    store = tmp_path / "store"
    found = audit(sorted(folder.iterdir()), min_size=1, max_invalid_fraction=1, store=store)
    assert [path.name for path, _ in found.rejected] == ["05.png", "17.png"]
    assert all("the decoder crashed" in reason for _, reason in found.rejected)
    assert set(PackedStore(store)) == {photo.digest for photo in found.photos}
    assert len(found.photos) == 28
    assert len(list(log.iterdir())) < 20  # most files went through pools of several
    with packing(store):  # what the two left is removed by the next one
        assert not list(store.glob(".*.tmp*"))

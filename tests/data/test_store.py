import os
import pickle
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from srlit.data import store as store_module
from srlit.data.reader import PhotoReader
from srlit.data.store import PackedStore, StoreError, digest_of
from tests.data.photos import audited, batches_of, images_in, same, shards_of
from tests.helpers import mounted


@pytest.fixture
def packed(photo_folder, tmp_path):
    store = tmp_path / "store"
    return audited(photo_folder, store=store), store


def test_packed_photos_and_plain_files_give_identical_batches(packed):
    photos, folder = packed
    files = batches_of(PhotoReader(photos))
    store = batches_of(PhotoReader(photos, store=PackedStore(folder)))
    assert store.reader.packed
    assert not files.reader.packed
    assert all(same(files[i], store[i]) for i in range(5))


def test_a_changed_photo_is_not_taken_from_the_store(packed, photo_folder):
    _, folder = packed
    Image.new("RGB", (120, 96), (9, 9, 9)).save(photo_folder / "03.png")
    reader = PhotoReader(audited(photo_folder), store=PackedStore(folder))
    assert not reader.packed
    assert reader[3].unique().tolist() == [9]


# -- damage ---------------------------------------------------------------------------------------


def test_a_cut_shard_is_named(packed):
    _, folder = packed
    (shard,) = shards_of(folder)
    data = shard.read_bytes()
    for length in (0, 5, 40, 3000, len(data) - 1):
        shard.write_bytes(data[:length])
        with pytest.raises(StoreError, match=shard.name):
            PackedStore(folder)


def test_a_shard_that_is_cut_under_a_run_is_an_error_and_no_signal(packed):
    photos, folder = packed
    store = PackedStore(folder)
    first, *_, last = (photo.digest for photo in photos)
    assert digest_of(store[first]) == first
    (shard,) = shards_of(folder)
    os.truncate(shard, shard.stat().st_size // 4)
    with pytest.raises(StoreError, match=f"{shard.name}: cut"):
        store[last]


@pytest.mark.parametrize("shape", [(96, 120, 3), (3, 96), (4, 96, 120)])
def test_an_image_of_a_wrong_shape_is_an_error(tmp_path, shape):
    save_file(
        {"a" * 32: torch.zeros(shape, dtype=torch.uint8)},
        tmp_path / "x.safetensors",
        store_module.METADATA,
    )
    with pytest.raises(StoreError, match="x.safetensors: a+ is damaged"):
        PackedStore(tmp_path)["a" * 32]


def test_flipped_pixels_are_found_when_a_shard_is_opened(packed):
    photos, folder = packed
    (shard,) = shards_of(folder)
    data = bytearray(shard.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    for at in range(start, len(data), 1000):
        data[at] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        PackedStore(folder)[photos[5].digest]


def test_another_version_is_refused(packed, monkeypatch):
    _, folder = packed
    monkeypatch.setitem(store_module.METADATA, "version", "2")
    with pytest.raises(StoreError, match="'version': '1'.*'version': '2'"):
        PackedStore(folder)


def test_a_flipped_bit_is_found_by_the_checksum(packed):
    photos, folder = packed
    (shard,) = shards_of(folder)
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    store = PackedStore(folder)
    damaged = [digest for digest in store if digest_of(store[digest]) != digest]
    assert damaged == [max(photo.digest for photo in photos)]


# -- processes ------------------------------------------------------------------------------------


def test_a_pickled_store_holds_no_pixels(packed):
    photos, folder = packed
    store = PackedStore(folder)
    assert store[photos[0].digest].sum() > 0
    stored = pickle.dumps(store)
    assert len(stored) < 5000
    assert torch.equal(pickle.loads(stored)[photos[0].digest], store[photos[0].digest])


def test_a_write_to_mapped_pixels_never_reaches_the_file(packed):
    photos, folder = packed
    store = PackedStore(folder)
    store[photos[0].digest].zero_()
    assert digest_of(PackedStore(folder)[photos[0].digest]) == photos[0].digest


PACK = """
import sys, time
from pathlib import Path
from srlit.data import scan
from srlit.data.audit import Checks
from srlit.data.store import packing

folder, store, cache, last = sys.argv[1:]
scan_file = scan.scan_file

def held(path, writer):
    while path.name > last:
        time.sleep(1)
    return scan_file(path, writer)

scan.scan_file, scan.SMALL, scan.MIN_CHUNK, scan.cores = held, 0, 1, lambda: 2
with packing(Path(store)):
    paths = sorted(Path(folder).glob("*.png"))
    Checks(1, 0, Path(cache), Path(store))(paths)
"""


def start_packing(root, photos, last="z"):
    """Another process packs, and scans no photo whose name comes after `last`."""
    folders = photos, root / "store", root / "cache"
    return subprocess.Popen([sys.executable, "-c", PACK, *folders, last])


def test_two_processes_do_not_pack_the_same_twice(photo_folder, tmp_path):
    both = [start_packing(tmp_path, photo_folder) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert images_in(tmp_path / "store") == 12


def test_a_killed_packing_goes_on_where_it_was(photo_folder, tmp_path):
    store = tmp_path / "store"
    process = start_packing(tmp_path, photo_folder, last="05.png")
    deadline = time.monotonic() + 60
    while not shards_of(store) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in shards_of(store)}
    assert 0 < len(PackedStore(store)) < 12
    assert start_packing(tmp_path, photo_folder).wait(60) == 0
    assert len(PackedStore(store)) == 12
    assert done.items() <= {path: path.stat().st_mtime_ns for path in shards_of(store)}.items()
    assert not list(store.glob(".*.tmp*"))


def test_a_full_disk_names_the_key_and_leaves_nothing_behind(photo_folder, tmp_path):
    with mounted(tmp_path / "disk", "size=100k") as disk:
        with pytest.raises(StoreError, match="No space left.*paths.store"):
            audited(photo_folder, store=disk)
        assert not list(disk.glob(".*tmp*"))
        assert len(PackedStore(disk)) == 0

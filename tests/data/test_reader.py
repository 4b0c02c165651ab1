"""Reading survives temporary failures of files and stores, and stops with the reason else."""

import errno
import logging
import os
import pickle

import pytest
import torch

from srlit.data import photo_file
from srlit.data.photo_file import TemporaryPhotoError
from srlit.data.reader import PhotoReader
from srlit.data.store import PackedStore, StoreError
from tests.data.photos import audited, batches_of, same, shards_of


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("srlit.data.datasets.WAITS", (0, 0))


# -- a store that changes under a run -------------------------------------------------------------


def same_batches(one, other):
    return all(same(one[i], other[i]) for i in range(5))


def overwrite(shard, content=b"x" * 99):
    shard.unlink()  # what is mapped stays as it was
    shard.write_bytes(content)


def cut(shard):
    overwrite(shard, shard.read_bytes()[:4000])


@pytest.mark.parametrize("damage", [os.unlink, cut, overwrite])
def test_a_shard_lost_during_a_run_changes_no_batch(photo_folder, tmp_path, caplog, damage):
    photos = audited(photo_folder, store=tmp_path / "store")
    batches = batches_of(PhotoReader(photos, store=PackedStore(tmp_path / "store")))
    batches = pickle.loads(pickle.dumps(batches))  # another process has mapped nothing yet
    (shard,) = shards_of(tmp_path / "store")
    damage(shard)
    assert same_batches(batches, batches_of(PhotoReader(photos)))
    assert sum(shard.name in record.getMessage() for record in caplog.records) == 1


def refuse_to_open(monkeypatch, path, number):
    original = type(path).open

    def refusing(self, *args, **options):
        if self == path:
            raise OSError(number, os.strerror(number), str(path))
        return original(self, *args, **options)

    monkeypatch.setattr(type(path), "open", refusing)


@pytest.mark.parametrize(("number", "warnings"), [(errno.EACCES, 1), (errno.ENOENT, 0)])
def test_an_unreadable_shard_is_decoded(
    photo_folder, tmp_path, caplog, monkeypatch, number, warnings
):
    """Tests may run as root, who may read everything."""
    photos = audited(photo_folder, store=tmp_path / "store")
    (shard,) = shards_of(tmp_path / "store")
    refuse_to_open(monkeypatch, shard, number)
    store = PackedStore(tmp_path / "store")
    assert len(store) == 0
    assert caplog.text.count(str(shard)) == warnings
    assert caplog.text.count("Permission denied; its photos are decoded") == warnings
    packed = batches_of(PhotoReader(photos, store=store))
    assert same_batches(packed, batches_of(PhotoReader(photos)))


def test_an_image_of_a_lost_shard_is_a_store_error(photo_folder, tmp_path):
    photos = audited(photo_folder, store=tmp_path / "store")
    store = PackedStore(tmp_path / "store")
    shards_of(tmp_path / "store")[0].unlink()
    with pytest.raises(StoreError, match="No such file"):
        store[photos[0].digest]


# -- files that fail ------------------------------------------------------------------------------


def failing(monkeypatch, times, error):
    """Reading a file fails so many times."""
    failures = [error] * times
    original = photo_file._read_unchanged

    def read(path):
        if failures:
            raise failures.pop()
        return original(path)

    monkeypatch.setattr(photo_file, "_read_unchanged", read)
    return failures


NUMBERS = errno.EMFILE, errno.EIO, errno.ESTALE
TEMPORARY = [*(OSError(number, os.strerror(number)) for number in NUMBERS), MemoryError()]


@pytest.mark.parametrize("error", TEMPORARY, ids=str)
def test_a_temporary_failure_changes_no_batch(photo_folder, monkeypatch, error, caplog):
    photos = audited(photo_folder)
    expected = batches_of(PhotoReader(photos))[0]
    failing(monkeypatch, 2, error)
    with caplog.at_level(logging.INFO):
        assert torch.equal(batches_of(PhotoReader(photos))[0].pixels, expected.pixels)
    assert "another photo" not in caplog.text


@pytest.mark.parametrize("error", TEMPORARY, ids=str)
def test_a_permanent_failure_stops_the_run_with_its_reason(photo_folder, monkeypatch, error):
    photos = audited(photo_folder)
    left = failing(monkeypatch, 4, error)  # one more than tries
    reason = getattr(error, "strerror", "memory")
    with pytest.raises(TemporaryPhotoError, match=f"png: .*{reason}"):
        batches_of(PhotoReader(photos))[0]
    assert len(left) == 1  # nobody looked at another photo

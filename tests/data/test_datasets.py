import errno
import os
import time

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from srlit.data import datasets
from srlit.data.datasets import EvaluationPhotos
from srlit.data.photo_file import PhotoError, TemporaryPhotoError
from srlit.data.reader import PhotoReader
from srlit.train import build_data
from tests.data.photos import audited, batches_in, batches_of
from tests.helpers import compose_config


def test_a_batch_is_a_function_of_seed_and_iteration(photo_folder):
    first, again = batches_in(photo_folder)[5], batches_in(photo_folder)[5]
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.keys, again.keys)
    assert not torch.equal(first.pixels, batches_in(photo_folder)[6].pixels)
    assert not torch.equal(first.pixels, batches_in(photo_folder, seed=2)[5].pixels)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_workers_gives_the_same_batches(photo_folder, workers):
    cfg = compose_config(
        "train",
        "data=folder",
        f"data.photos.train_folder={photo_folder}",
        "data.photos.holdout=2",
        "data.patch_size=32",
        "data.batch_size=3",
        f"data.workers={workers}",
        "data.eval_crop=32",
        "iterations=7",
        "paths.cache=null",
        "paths.store=null",
    )
    data = build_data(cfg)
    data.check()
    loaded = list(data.train_dataloader())
    assert len(loaded) == 7
    reference = batches_of(PhotoReader(data._train_photos), seed=0, batch_size=3)
    for i, batch in enumerate(loaded):
        assert torch.equal(batch.pixels, reference[i].pixels)
        assert torch.equal(batch.keys, reference[i].keys)


def test_two_ranks_see_what_one_sees(photo_folder):
    whole = batches_in(photo_folder, batch_size=6)[3]
    halves = [batches_in(photo_folder, batch_size=3, rank=r, world_size=2)[3] for r in (0, 1)]
    assert torch.equal(whole.pixels, torch.cat([h.pixels for h in halves]))
    assert torch.equal(whole.keys, torch.cat([h.keys for h in halves]))


def test_an_epoch_visits_every_photo_once(tmp_path):
    """Photos of one colour each tell which of them a patch came from."""
    for i in range(12):
        Image.new("RGB", (40, 40), (20 * i, 0, 0)).save(tmp_path / f"{i:02}.png")
    data = batches_in(tmp_path)
    epochs = [
        [int(p[0, 0, 0]) // 20 for i in range(3 * e, 3 * e + 3) for p in data[i].pixels]
        for e in (0, 1)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0] != epochs[1]


def test_a_photo_that_breaks_during_training_is_replaced(photo_folder, caplog):
    data = batches_in(photo_folder, cache_mb=0)
    good = data[0].pixels
    for path in sorted(photo_folder.glob("*.png"))[:2]:
        path.write_bytes(path.read_bytes()[:200])
    seen = [data[i].pixels for i in range(3)]
    assert all(pixels.shape == (4, 3, 32, 32) for pixels in seen)
    assert "this one changed" in caplog.text
    assert not torch.equal(torch.cat(seen)[:4], good) or len(caplog.records) >= 2
    for path in photo_folder.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(PhotoError, match="3 photos in a row"):
        data[0]


def test_evaluation_photos_are_grouped_by_size_and_keyed_by_index(photo_folder):
    Image.new("RGB", (31, 45)).save(photo_folder / "05a.png")
    reader = PhotoReader(audited(photo_folder))
    data = EvaluationPhotos(reader, seed=0, scale=2, crop=64, batch_size=4)
    sizes = [tuple(data[i].pixels.shape) for i in range(len(data))]
    assert sizes == [(4, 3, 64, 64), (2, 3, 64, 64), (1, 3, 44, 30), (4, 3, 64, 64), (2, 3, 64, 64)]
    ones = EvaluationPhotos(reader, seed=0, scale=2, crop=64, batch_size=1)
    assert len(ones) == 13
    assert torch.equal(
        torch.cat([data[i].keys for i in range(len(data))]),
        torch.cat([ones[i].keys for i in range(13)]),
    )


def test_spawned_workers_give_the_same_batches(photo_folder):
    data = batches_in(photo_folder)
    loader = DataLoader(
        data, sampler=range(3), batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    for i, batch in enumerate(loader):
        assert torch.equal(batch.pixels, data[i].pixels)


def test_batches_do_not_depend_on_the_order_of_requests(photo_folder):
    """Numbers are drawn for many batches at once; none may depend on where one began."""
    data = batches_in(photo_folder)
    there = [data[i] for i in (0, 63, 64, 200)]
    back = [batches_in(photo_folder)[i] for i in (200, 64, 63, 0)][::-1]
    for one, other in zip(there, back, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.keys, other.keys)


def test_several_crops_per_visit_decode_once(photo_folder, monkeypatch):
    from srlit.data import reader

    decoded = []
    original = reader.read_photo
    monkeypatch.setattr(reader, "read_photo", lambda p: (decoded.append(p), original(p))[1])
    data = batches_in(photo_folder, cache_mb=0, crops=4, batch_size=12)
    patches = data[0].pixels
    assert len(decoded) == 3
    assert not torch.equal(patches[0], patches[1])


# -- photos that change ---------------------------------------------------------------------------


def later(path):
    """Give a file another time of change."""
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))


def test_a_replaced_photo_is_detected(photo_folder, caplog):
    data = batches_in(photo_folder, cache_mb=0)
    path = data.reader.photos[0].path
    Image.new("RGB", (200, 200), (1, 2, 3)).save(path)
    later(path)
    seen = [data[i].pixels for i in range(3)]
    assert "holds another image than when it was checked" in caplog.text
    assert str(path) in caplog.text
    assert not any((patch == patch[:, :1, :1]).all() for pixels in seen for patch in pixels)


def test_a_touched_file_is_still_used(photo_folder, caplog):
    data = batches_in(photo_folder, cache_mb=0)
    before = [data[i].pixels for i in range(3)]
    for photo in data.reader.photos:
        later(photo.path)
    again = batches_of(PhotoReader(data.reader.photos))
    assert all(torch.equal(again[i].pixels, before[i]) for i in range(3))
    assert "changed" not in caplog.text


def test_a_replaced_data_set_stops_the_run(photo_folder):
    data = batches_in(photo_folder, cache_mb=0)
    for photo in data.reader.photos:
        Image.new("RGB", (200, 200)).save(photo.path)
        later(photo.path)
    with pytest.raises(PhotoError, match="the data set changed, 3 photos in a row"):
        data[0]


def test_temporary_read_errors_are_retried(photo_folder, monkeypatch, caplog):
    monkeypatch.setattr(datasets, "WAITS", (0.0, 0.0))
    expected = batches_in(photo_folder, cache_mb=0)[0]
    original, failures = os.open, [errno.EMFILE, errno.EIO]

    def busy(*arguments, **named):
        if failures:
            raise OSError(failures.pop(), "busy")
        return original(*arguments, **named)

    batches = batches_in(photo_folder, cache_mb=0)
    monkeypatch.setattr(os, "open", busy)
    assert torch.equal(batches[0].pixels, expected.pixels)
    assert caplog.text.count("trying again") == 2


def test_permanent_read_errors_stop_the_run(photo_folder, monkeypatch):
    monkeypatch.setattr(datasets, "WAITS", (0.0,))
    batches = batches_in(photo_folder, cache_mb=0)

    def away(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", away)
    with pytest.raises(TemporaryPhotoError, match=r"\.png: .*[Ii]nput/output error"):
        batches[0]


def module_of(folder, *overrides):
    cfg = compose_config(
        "train",
        "data=folder",
        f"data.photos.train_folder={folder}",
        "data.photos.holdout=2",
        "data.patch_size=32",
        "data.batch_size=3",
        "data.workers=0",
        "data.eval_crop=32",
        "iterations=7",
        "paths.cache=null",
        "paths.store=null",
        *overrides,
    )
    return build_data(cfg)


def test_resume_refuses_another_order_of_visits(photo_folder):
    one, other = module_of(photo_folder), module_of(photo_folder, "data.crops_per_photo=4")
    one.check()
    other.check()
    one.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="order they are visited in"):
        other.load_state_dict(one.state_dict())


class Processes:
    """A trainer of several processes."""

    def __init__(self, world_size, rank=0):
        self.world_size = self.num_devices = world_size
        self.global_rank = rank


def test_resume_refuses_another_number_of_processes(photo_folder):
    data = module_of(photo_folder)
    data.check()
    data.trainer = Processes(2)
    state = data.state_dict()
    data.trainer = Processes(4)
    with pytest.raises(ValueError, match="2 processes in the checkpoint, 4 now"):
        data.load_state_dict(state)
    data.trainer = None  # before there is a trainer, only the photos are compared
    data.load_state_dict(state)


def test_every_process_has_photos_to_validate_on(photo_folder):
    data = module_of(photo_folder, "data.eval_batch_size=4")
    data.check()
    counts = []
    for rank in (0, 1):
        data.trainer = Processes(2, rank)
        counts.append(sum(len(batch.pixels) for batch in data.val_dataloader()))
    assert counts == [1, 1]
    data.trainer = Processes(3)
    with pytest.raises(ValueError, match="2 photos to measure on for 3 processes"):
        data.val_dataloader()


def test_a_missing_test_folder_does_not_stop_a_training(photo_folder):
    data = module_of(photo_folder, "data.photos.test_folder=nowhere")
    data.check()
    assert len(data._train_photos) == 10

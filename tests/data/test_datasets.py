import os
import time
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.data import reader
from srlit.data.datasets import EvaluationPhotos
from srlit.data.photo_file import PhotoError
from srlit.data.reader import PhotoReader
from tests.data.photos import audited, batches_in, batches_of, same


def test_a_batch_is_a_function_of_seed_and_iteration(photo_folder):
    first, again = batches_in(photo_folder)[5], batches_in(photo_folder)[5]
    assert same(first, again)
    assert not torch.equal(first.pixels, batches_in(photo_folder)[6].pixels)
    assert not torch.equal(first.pixels, batches_in(photo_folder, seed=2)[5].pixels)


def test_two_ranks_see_what_one_sees(photo_folder):
    whole = batches_in(photo_folder, batch_size=6)[3]
    halves = [batches_in(photo_folder, batch_size=3, rank=r, world_size=2)[3] for r in (0, 1)]
    assert torch.equal(whole.pixels, torch.cat([h.pixels for h in halves]))
    assert torch.equal(whole.keys, torch.cat([h.keys for h in halves]))


def test_a_photo_that_breaks_during_training_is_replaced(photo_folder, caplog):
    data = batches_in(photo_folder, cache_mb=0)
    for path in sorted(photo_folder.glob("*.png"))[:2]:
        path.write_bytes(path.read_bytes()[:200])
    assert all(data[i].pixels.shape == (4, 3, 32, 32) for i in range(3))
    assert "this one changed" in caplog.text
    for path in photo_folder.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(PhotoError, match="3 photos in a row"):
        data[0]


def test_evaluation_photos_are_grouped_by_size_and_keyed_by_index(photo_folder):
    Image.new("RGB", (31, 45)).save(photo_folder / "05a.png")
    photos = PhotoReader(audited(photo_folder))
    data = EvaluationPhotos(photos, seed=0, scale=2, crop=64, batch_size=4)
    sizes = [tuple(data[i].pixels.shape) for i in range(len(data))]
    assert sizes == [(4, 3, 64, 64), (2, 3, 64, 64), (1, 3, 44, 30), (4, 3, 64, 64), (2, 3, 64, 64)]
    ones = EvaluationPhotos(photos, seed=0, scale=2, crop=64, batch_size=1)
    assert len(ones) == 13
    keys = [torch.cat([part[i].keys for i in range(len(part))]) for part in (data, ones)]
    assert torch.equal(*keys)


def test_whole_photos_are_cut_at_the_right_and_the_bottom_as_tables_of_papers_do(photo_folder):
    """MATLAB's modcrop, which every published table has."""
    path = sorted(photo_folder.iterdir())[0]
    pixels = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[:, :95, :118]
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    photos = PhotoReader(audited(path.parent)[:1])
    found = EvaluationPhotos(photos, seed=0, scale=4, crop=None, batch_size=1)[0]
    assert torch.equal(found.pixels[0], pixels[:, :92, :116])


def test_batches_do_not_depend_on_the_order_of_requests(photo_folder):
    """Numbers are drawn for many batches at once; none may depend on where one began."""
    data = batches_in(photo_folder)
    there = [data[i] for i in (0, 63, 64, 200)]
    back = [batches_in(photo_folder)[i] for i in (200, 64, 63, 0)][::-1]
    assert all(map(same, there, back))


def test_several_crops_per_visit_decode_once(photo_folder, monkeypatch):
    decode = Mock(side_effect=reader.read_photo)
    monkeypatch.setattr(reader, "read_photo", decode)
    patches = batches_in(photo_folder, cache_mb=0, crops=4, batch_size=12)[0].pixels
    assert decode.call_count == 3
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
    assert "not the image that was checked" in caplog.text
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

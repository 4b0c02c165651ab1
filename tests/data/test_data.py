import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.config import build
from srlit.data import (
    Augmentation,
    BadDataError,
    EvaluationPhotos,
    FolderPhotos,
    PatchBatches,
    PhotoError,
    SamplePhotos,
    audit,
    read_photo,
)
from srlit.data.index import Photo
from srlit.data.sources import hold_back
from srlit.ops.rng import RowGenerator, make_keys
from srlit.train import build_data
from tests.helpers import compose_config


def photos_in(folder):
    return [Photo(p, *Image.open(p).size) for p in sorted(folder.glob("*.png"))]


def batches(folder, **changes):
    options = {"seed": 1, "patch_size": 32, "batch_size": 4, "cache_mb": 1}
    return PatchBatches(photos_in(folder), **options | changes)


# -- patches ------------------------------------------------------------------------------------


def test_a_batch_is_a_function_of_seed_and_iteration(photo_folder):
    first, again = batches(photo_folder)[5], batches(photo_folder)[5]
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.keys, again.keys)
    assert not torch.equal(first.pixels, batches(photo_folder)[6].pixels)
    assert not torch.equal(first.pixels, batches(photo_folder, seed=2)[5].pixels)


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
    )
    data = build_data(cfg)
    data.check()
    loaded = list(data.train_dataloader())
    assert len(loaded) == 7
    reference = PatchBatches(data._train_photos, seed=0, patch_size=32, batch_size=3, cache_mb=0)
    for i, batch in enumerate(loaded):
        assert torch.equal(batch.pixels, reference[i].pixels)
        assert torch.equal(batch.keys, reference[i].keys)


def test_two_ranks_see_what_one_sees(photo_folder):
    whole = batches(photo_folder, batch_size=6)[3]
    halves = [batches(photo_folder, batch_size=3, rank=r, world_size=2)[3] for r in (0, 1)]
    assert torch.equal(whole.pixels, torch.cat([h.pixels for h in halves]))
    assert torch.equal(whole.keys, torch.cat([h.keys for h in halves]))


def test_an_epoch_visits_every_photo_once(tmp_path):
    """Photos of one colour each tell which of them a patch came from."""
    for i in range(12):
        Image.new("RGB", (40, 40), (20 * i, 0, 0)).save(tmp_path / f"{i:02}.png")
    data = batches(tmp_path)
    epochs = [
        [int(p[0, 0, 0]) // 20 for i in range(3 * e, 3 * e + 3) for p in data[i].pixels]
        for e in (0, 1)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0] != epochs[1]


def test_a_photo_that_breaks_during_training_is_replaced(photo_folder, caplog):
    data = batches(photo_folder, cache_mb=0)
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
    photos = photos_in(photo_folder)
    data = EvaluationPhotos(photos, seed=0, scale=2, crop=64, batch_size=4)
    sizes = [tuple(data[i].pixels.shape) for i in range(len(data))]
    assert sizes == [(4, 3, 64, 64), (2, 3, 64, 64), (1, 3, 44, 30), (4, 3, 64, 64), (2, 3, 64, 64)]
    ones = EvaluationPhotos(photos, seed=0, scale=2, crop=64, batch_size=1)
    assert len(ones) == 13
    assert torch.equal(
        torch.cat([data[i].keys for i in range(len(data))]),
        torch.cat([ones[i].keys for i in range(13)]),
    )


# -- augmentation -------------------------------------------------------------------------------


def test_geometry_draws_all_eight_and_changes_no_pixel(photo):
    patch = photo[..., :24, :24].expand(400, -1, -1, -1)
    rows = RowGenerator(make_keys(0, (), torch.arange(400)))
    hr = (Augmentation()(patch, rows) * 255).round().byte()
    kinds = {
        torch.rot90(base, k, (1, 2)).numpy().tobytes(): 0
        for base in (photo[0, :, :24, :24], photo[0, :, :24, :24].flip(-1))
        for k in range(4)
    }
    for image in hr:
        kinds[image.numpy().tobytes()] += 1
    assert len(kinds) == 8
    assert all(25 <= count <= 80 for count in kinds.values())


def test_colour_is_changed_per_sample_within_bounds(photo):
    patch = photo[..., :24, :24].expand(64, -1, -1, -1)
    rows = RowGenerator(make_keys(0, (), torch.arange(64)))
    augment = Augmentation(geometry=False, brightness=0.05, contrast=0.1, saturation=0.1, hue=0.06)
    hr = augment(patch, rows)
    assert hr.min() >= 0
    assert hr.max() <= 1
    means = hr.mean((2, 3))
    assert means.std(0).min() > 0.005
    assert (means.mean(0) - patch[0].float().mean((1, 2)) / 255).abs().max() < 0.03
    alone = augment(patch[5:6], RowGenerator(make_keys(0, (), torch.tensor([5]))))
    torch.testing.assert_close(alone, hr[5:6])


def test_only_brightness_shifts_by_what_is_drawn():
    patch = torch.full((32, 3, 8, 8), 128, dtype=torch.uint8)
    rows = RowGenerator(make_keys(0, (), torch.arange(32)))
    shift = Augmentation(geometry=False, brightness=0.05)(patch, rows) - 128 / 255
    assert 0.03 < shift.abs().max() <= 0.0501
    assert shift.flatten(1).std(1).max() < 1e-6


def test_impossible_augmentation_is_named():
    with pytest.raises(ValueError, match="data.augmentation.hue=2"):
        Augmentation(hue=2.0)


# -- files --------------------------------------------------------------------------------------


def test_kinds_of_files_are_read_as_rgb(tmp_path):
    gray16 = np.full((4, 5), 257 * 100, np.uint16)
    Image.fromarray(gray16).save(tmp_path / "gray16.png")
    Image.new("L", (5, 4), 100).save(tmp_path / "gray.png")
    Image.new("RGBA", (5, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    Image.new("CMYK", (5, 4), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    turned = Image.new("RGB", (5, 4), (1, 2, 3))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert read_photo(tmp_path / "gray16.png").unique().tolist() == [100]
    assert read_photo(tmp_path / "gray.png").shape == (3, 4, 5)
    assert read_photo(tmp_path / "clear.png").unique().tolist() == [255]
    red = read_photo(tmp_path / "red.jpg").float().mean((1, 2))
    assert red[0] > 200
    assert red[1] < 60
    assert red[2] < 60
    assert read_photo(tmp_path / "turned.png").shape == (3, 5, 4)


def test_the_audit_reports_each_bad_file_and_keeps_the_good(photo_folder, tmp_path, caplog):
    (photo_folder / "empty.png").write_bytes(b"")
    (photo_folder / "text.png").write_text("no image")
    good = (photo_folder / "00.png").read_bytes()
    (photo_folder / "cut.png").write_bytes(good[: len(good) // 2])
    Image.new("RGB", (9, 200)).save(photo_folder / "thin.png")
    paths = sorted(photo_folder.iterdir())
    found = audit(paths, least_size=48, most_bad=0.5, cache=tmp_path / "cache")
    assert len(found.photos) == 12
    reasons = {path.name: reason for path, reason in found.rejected}
    assert set(reasons) == {"empty.png", "text.png", "cut.png", "thin.png"}
    assert "9x200 pixels, smaller than 48" in reasons["thin.png"]
    assert all(str(photo_folder / name) in caplog.text for name in reasons)


def test_files_that_are_none_are_reported_too(photo_folder, tmp_path):
    (photo_folder / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    Image.fromarray(np.full((64, 64), 0.5, np.float32)).save(photo_folder / "float.tif")
    (photo_folder / "folder.png").mkdir()
    found = audit(sorted(photo_folder.iterdir()), least_size=8, most_bad=0.5)
    assert {path.name for path, _ in found.rejected} == {"dangling.png", "float.tif", "folder.png"}
    assert "mode F" in {p.name: r for p, r in found.rejected}["float.tif"]


def test_random_damage_is_always_a_photo_error(photo, tmp_path):
    path = tmp_path / "x.jpg"
    image = Image.fromarray(photo[0].permute(1, 2, 0).numpy())
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(good)
        for position in rng.integers(0, 400, 6):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            assert read_photo(path).shape[0] == 3
        except PhotoError as error:
            assert str(path) in str(error)


def test_the_audit_remembers_and_notices_changes(photo_folder, tmp_path, monkeypatch):
    paths = sorted(photo_folder.iterdir())
    cache = tmp_path / "cache"
    first = audit(paths, least_size=8, most_bad=0, cache=cache)
    looked = []
    from srlit.data import index

    original = index._look
    monkeypatch.setattr(index, "_look", lambda path: (looked.append(path), original(path))[1])
    assert audit(paths, least_size=8, most_bad=0, cache=cache) == first
    assert not looked
    Image.new("RGB", (50, 60)).save(paths[3])
    changed = audit(paths, least_size=8, most_bad=0, cache=cache)
    assert looked == [paths[3]]
    assert changed.photos[3][1:] == (50, 60)
    # A damaged cache is no obstacle.
    next(cache.glob("*.json")).write_text("{")
    assert audit(paths, least_size=8, most_bad=0, cache=cache) == changed


def test_too_many_bad_files_stop_the_run(photo_folder):
    (photo_folder / "empty.png").write_bytes(b"")
    with pytest.raises(BadDataError, match="1 of 13 photos.*data.most_bad=0.05"):
        audit(sorted(photo_folder.iterdir()), least_size=8, most_bad=0.05)


# -- sets ---------------------------------------------------------------------------------------


def test_the_three_sets_of_a_folder_are_disjoint(photo_folder):
    sets = FolderPhotos(train_folder=str(photo_folder), holdout=3)
    train, val, test = sets.train(), sets.val(), sets.test()
    assert (len(train), len(val), len(test)) == (6, 3, 3)
    assert len({*train, *val, *test}) == 12


def test_what_is_held_back_stays_when_photos_are_added(photo_folder, tmp_path):
    photos = sorted(photo_folder.iterdir())
    _, held = hold_back(photos, 4)
    _, from_reversed = hold_back(photos[::-1], 4)
    assert sorted(from_reversed) == held
    _, with_more = hold_back([*photos, tmp_path / "new.png"], 4)
    assert len(set(held) & set(with_more)) >= 3


def test_bsds400_holds_back_20_and_never_sees_bsd100(shared_data):
    sets = build(compose_config("train", "data=bsds400").data.photos)
    train, val, test = sets.train(), sets.val(), sets.test()
    assert (len(train), len(val), len(test)) == (380, 20, 100)
    assert len({*train, *val, *test}) == 500


def test_the_sample_photos_are_disjoint_and_there():
    sets = build(compose_config("train", "data=sample").data.photos)
    assert isinstance(sets, SamplePhotos)
    paths = [*sets.train(), *sets.val(), *sets.test()]
    assert len(set(paths)) == len(paths)
    assert all(path.is_file() for path in paths)
    assert {p.name for p in sets.test()} == {"astronaut.png", "coffee.png"}


def test_a_photo_in_two_sets_is_refused(photo_folder):
    shutil.copytree(photo_folder, photo_folder.parent / "other")
    cfg = compose_config(
        "train",
        "data=folder",
        f"data.photos.train_folder={photo_folder}",
        f"data.photos.val_folder={photo_folder}",
        f"data.photos.test_folder={photo_folder.parent / 'other'}",
        "data.patch_size=32",
        "paths.cache=null",
    )
    with pytest.raises(ValueError, match="12 photos are in train and val"):
        build_data(cfg).check()

import os
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.data import scan
from srlit.data.audit import BadDataError, audit
from srlit.data.decode import read_photo
from srlit.data.image_folder import list_photos
from srlit.data.photo_file import PhotoError, printable
from srlit.data.reader import PhotoReader
from srlit.data.store import PackedStore
from tests.data.corpus import build


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
    found = audit(paths, min_size=48, max_invalid_fraction=0.5, cache=tmp_path / "cache")
    assert len(found.photos) == 12
    reasons = {path.name: reason for path, reason in found.rejected}
    assert set(reasons) == {"empty.png", "text.png", "cut.png", "thin.png"}
    assert "9x200 pixels, smaller than 48" in reasons["thin.png"]
    assert all(str(photo_folder / name) in caplog.text for name in reasons)


def test_files_that_are_none_are_reported_too(photo_folder, tmp_path):
    (photo_folder / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    Image.fromarray(np.full((64, 64), 0.5, np.float32)).save(photo_folder / "float.tif")
    (photo_folder / "folder.png").mkdir()
    found = audit(sorted(photo_folder.iterdir()), min_size=8, max_invalid_fraction=0.5)
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
    first = audit(paths, min_size=8, max_invalid_fraction=0, cache=cache)
    looked = []

    original = scan.scan_file
    monkeypatch.setattr(
        scan, "scan_file", lambda path, writer: (looked.append(path), original(path, writer))[1]
    )
    assert audit(paths, min_size=8, max_invalid_fraction=0, cache=cache) == first
    assert not looked
    Image.new("RGB", (50, 60)).save(paths[3])
    changed = audit(paths, min_size=8, max_invalid_fraction=0, cache=cache)
    assert looked == [paths[3]]
    assert changed.photos[3][1:3] == (50, 60)
    # A damaged cache is no obstacle.
    next(cache.glob("*.json")).write_text("{")
    assert audit(paths, min_size=8, max_invalid_fraction=0, cache=cache) == changed


def test_too_many_bad_files_stop_the_run(photo_folder):
    (photo_folder / "empty.png").write_bytes(b"")
    with pytest.raises(BadDataError, match="1 of 13 photos.*data.max_invalid_fraction=0.05"):
        audit(sorted(photo_folder.iterdir()), min_size=8, max_invalid_fraction=0.05)


# -- the corpus of good and bad files -------------------------------------------------------------


def test_no_file_of_the_corpus_ends_the_audit_or_stays_unexplained(tmp_path):
    """Through the whole path: listed from a folder, audited and packed, read again."""
    cases = {case.path: case for case in build(tmp_path / "corpus")}
    listed = list_photos(tmp_path / "corpus", "folder")
    assert len(listed) > 100
    found = audit(listed, min_size=1, max_invalid_fraction=1, store=tmp_path / "store")
    assert {*listed} == {p.path for p in found.photos} | {path for path, _ in found.rejected}
    for path, reason in found.rejected:
        if path in cases:
            assert re.search(cases[path].reason, reason), (printable(path), reason)
            assert cases[path].pixels is None
    reader = PhotoReader(found.photos, store=PackedStore(tmp_path / "store"))
    assert reader.packed
    for i, photo in enumerate(found.photos):
        if photo.path in cases:
            expected = torch.from_numpy(cases[photo.path].pixels.copy()).permute(2, 0, 1)
            assert (reader[i].int() - expected.int()).abs().max() <= cases[photo.path].off


def test_what_is_remembered_is_what_was_found(tmp_path):
    """Names of any bytes, notes and sizes go through the cache's JSON and back."""
    build(tmp_path / "corpus")
    listed = list_photos(tmp_path / "corpus", "folder")
    options = {"min_size": 1, "max_invalid_fraction": 1, "cache": tmp_path / "cache"}
    first = audit(listed, **options)
    assert audit(listed, **options) == first
    assert any(not path.name.isprintable() for path in listed)


def test_a_decoder_that_crashes_takes_only_its_own_file_with_it(photo_folder, monkeypatch):
    """A process that dies, as on a bug in a C library; forked ones inherit the change."""
    if not sys.platform.startswith("linux"):
        pytest.skip("elsewhere processes do not inherit a changed decoder")
    original = scan.decode

    def decode(path):
        if path.name == "05.png":
            os._exit(7)
        return original(path)

    monkeypatch.setattr(scan, "decode", decode)
    monkeypatch.setattr(scan, "SMALL", 0)
    monkeypatch.setattr(scan, "cores", lambda: 2)
    found = audit(sorted(photo_folder.iterdir()), min_size=1, max_invalid_fraction=1)
    assert len(found.photos) == 11
    assert [(path.name, reason) for path, reason in found.rejected] == [
        ("05.png", "the decoder crashed on it, or ran out of memory")
    ]


def test_photos_that_look_enlarged_are_noted(photo, tmp_path):
    sharp = Image.fromarray(photo[0].permute(1, 2, 0).numpy())
    sharp.save(tmp_path / "sharp.png")
    sharp.resize((902, 600), Image.Resampling.BICUBIC).save(tmp_path / "enlarged.png")
    found = audit(sorted(tmp_path.iterdir()), min_size=1, max_invalid_fraction=0)
    assert [path.name for path in found.notes["upscaled"]] == ["enlarged.png"]


def test_duplicates_are_noted_whatever_they_are_called(photo_folder):
    shutil.copy(photo_folder / "03.png", photo_folder / "x.png")
    Image.open(photo_folder / "04.png").save(photo_folder / "y.bmp")
    found = audit(sorted(photo_folder.iterdir()), min_size=1, max_invalid_fraction=0)
    assert [path.name for path in found.notes["duplicate"]] == ["x.png", "y.bmp"]


def test_nothing_usable_is_no_error_where_all_may_be_bad(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"x")
    found = audit([tmp_path / "bad.png"], min_size=1, max_invalid_fraction=1)
    assert (len(found.photos), len(found.rejected)) == (0, 1)
    with pytest.raises(
        BadDataError, match="1 of 1 photos.*more than data.max_invalid_fraction=0.5"
    ):
        audit([tmp_path / "bad.png"], min_size=1, max_invalid_fraction=0.5)
    with pytest.raises(BadDataError, match="there are no photos"):
        audit([], min_size=1, max_invalid_fraction=0.5)

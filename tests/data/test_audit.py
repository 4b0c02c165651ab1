import re
import shutil

import pytest
import torch
from PIL import Image

from srlit.data.audit import BadDataError
from srlit.data.image_folder import list_photos
from srlit.data.photo_file import printable
from srlit.data.reader import PhotoReader
from srlit.data.store import PackedStore
from tests.data.corpus import build
from tests.data.photos import audit


def test_the_audit_reports_each_bad_file_and_keeps_the_good(photo_folder, tmp_path, caplog):
    (photo_folder / "text.png").write_text("no image")
    Image.new("RGB", (9, 200)).save(photo_folder / "thin.png")
    found = audit(sorted(photo_folder.iterdir()), min_size=48, max_invalid_fraction=0.5)
    assert len(found.photos) == 12
    reasons = {path.name: reason for path, reason in found.rejected}
    assert set(reasons) == {"text.png", "thin.png"}
    assert "9x200 pixels, smaller than 48" in reasons["thin.png"]
    assert all(str(photo_folder / name) in caplog.text for name in reasons)


# -- the corpus of good and bad files -------------------------------------------------------------


def test_the_corpus_is_audited_packed_and_read_again(tmp_path):
    """Through the whole path: listed from a folder, audited and packed, read again."""
    cases = {case.path: case for case in build(tmp_path / "corpus")}
    listed = list_photos(tmp_path / "corpus", "folder")
    assert len(listed) > 100
    folders = {"store": tmp_path / "store", "cache": tmp_path / "cache"}
    found = audit(listed, max_invalid_fraction=1, **folders)
    # Names of any bytes, notes and sizes go through the cache's JSON and back.
    assert audit(listed, max_invalid_fraction=1, **folders) == found
    assert any(not path.name.isprintable() for path in listed)
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


def test_upscaled_photos_are_noted(photo, tmp_path):
    sharp = Image.fromarray(photo[0].permute(1, 2, 0).numpy())
    sharp.save(tmp_path / "sharp.png")
    sharp.resize((902, 600), Image.Resampling.BICUBIC).save(tmp_path / "upscaled.png")
    found = audit(sorted(tmp_path.iterdir()))
    assert [path.name for path in found.notes["upscaled"]] == ["upscaled.png"]


def test_duplicates_are_noted_whatever_they_are_called(photo_folder):
    shutil.copy(photo_folder / "03.png", photo_folder / "x.png")
    Image.open(photo_folder / "04.png").save(photo_folder / "y.bmp")
    found = audit(sorted(photo_folder.iterdir()))
    assert [path.name for path in found.notes["duplicate"]] == ["x.png", "y.bmp"]


def test_more_bad_files_than_allowed_are_an_error(photo_folder):
    paths = [*sorted(photo_folder.iterdir()), photo_folder / "bad.png"]
    paths[-1].write_bytes(b"x")
    assert len(audit(paths, max_invalid_fraction=1).rejected) == 1
    with pytest.raises(BadDataError, match="1 of 13 photos.*data.max_invalid_fraction=0.05"):
        audit(paths, max_invalid_fraction=0.05)
    assert not audit(paths[-1:], max_invalid_fraction=1).photos
    with pytest.raises(BadDataError, match="there are no photos"):
        audit([])

import os
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from srlit.data import photo_file
from srlit.data.decode import decode, open_photo, pixels_of, read_photo, to_rgb
from srlit.data.photo_file import PhotoError, printable
from tests.data import corpus

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),  # of damaged metadata
]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return corpus.build(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def good(cases):
    return [case for case in cases if not case.reason]


def outcome(path):
    """Pixels (h, w, 3) and notes, or the reason; messages are one printable line."""
    try:
        pixels, notes = decode(path)
    except PhotoError as error:
        assert str(error) == f"{printable(path)}: {error.reason}"
        assert str(error).isprintable(), path
        return error.reason
    return pixels.permute(1, 2, 0).numpy(), notes


def difference(case, result):
    """What is wrong with the result of a case; empty where it is right."""
    if isinstance(result, str):
        expected = case.reason and re.search(case.reason, result)
        return "" if expected else f"refused: {result}"
    if case.reason:
        return f"not refused: {case.reason}"
    pixels, notes = result
    if pixels.shape != case.pixels.shape:
        return f"shape {pixels.shape}, expected {case.pixels.shape}"
    off = np.abs(pixels.astype(int) - case.pixels).max()
    if off > case.off:
        return f"pixels up to {off} levels off"
    return "" if notes == case.notes else f"notes {notes}, expected {case.notes}"


def wrong(cases, results):
    found = [(case.path.name, difference(case, r)) for case, r in zip(cases, results, strict=True)]
    return [(name, problem) for name, problem in found if problem]


def test_every_file_gives_its_pixels_or_the_reason(cases):
    assert len(cases) > 100
    assert wrong(cases, [outcome(case.path) for case in cases]) == []


def test_errors_survive_a_process_pool():
    error = pickle.loads(pickle.dumps(PhotoError("x.png: an empty file", "an empty file")))
    assert (str(error), error.reason) == ("x.png: an empty file", "an empty file")
    assert PhotoError("only this").reason == "only this"


def test_paths_are_shown_as_one_printable_line():
    assert printable(Path("a/ü b.png")) == "a/ü b.png"
    assert printable(os.fsdecode(b"\xff\n.png")) == "\\xff\\n.png"
    assert printable("\ud800 \u202e") == "\\ud800 \\u202e"


def test_threads_decode_every_file_alike_and_change_nothing_global(cases):
    def state():
        return list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES

    several, before = cases * 3, state()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(outcome, [case.path for case in several]))
    assert wrong(several, results) == []
    assert state() == before
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_read_and_open_agree_with_decode(good):
    for case in good:
        pixels = decode(case.path).pixels
        assert pixels.is_contiguous()
        assert read_photo(case.path).equal(pixels)
        # 16-bit colours are rounded before they are laid on white, instead of afterwards.
        opened = pixels_of(to_rgb(open_photo(case.path)))
        assert (opened.int() - pixels.int()).abs().max() <= 1, case.path


def test_allowed_sizes_give_no_bomb_warning(good, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)  # most have 714
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in good:
            # Pillow itself checks the size of TIFF once more.
            if case.pixels.size // 3 == 714 and not case.path.name.endswith(("tif", "tiff")):
                assert wrong([case], [outcome(case.path)]) == []


def test_too_large_files_are_not_read(tmp_path):
    path = tmp_path / "x.png"
    with path.open("wb") as file:
        file.truncate(photo_file.MAX_BYTES + 1)
    with pytest.raises(PhotoError, match="4,294,967,297 bytes, more than"):
        decode(path)


def test_a_file_that_shrinks_while_it_is_read_is_reported(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(corpus.png(corpus.noise(99, 99, 3)))
    size, original = path.stat().st_size, os.fstat

    def fstat(descriptor):
        status = original(descriptor)
        os.truncate(path, size // 2)
        return status

    monkeypatch.setattr(photo_file.os, "fstat", fstat)
    with pytest.raises(
        PhotoError, match=f"changed while it was read, from {size:,} to {size // 2:,} bytes"
    ):
        decode(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_damage_anywhere_in_a_png_is_refused_or_harmless(tmp_path, dtype):
    path = tmp_path / "x.png"
    whole = corpus.png(corpus.noise(9, 8, 3, dtype=dtype))
    path.write_bytes(whole)
    pixels, _ = outcome(path)
    for i in range(len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= 1 << i % 8
        for data in (bytes(damaged), whole[:i]):
            path.write_bytes(data)
            result = outcome(path)
            # The last 12 bytes are an empty chunk.
            assert isinstance(result, str) or (
                i >= len(whole) - 12 and np.array_equal(result[0], pixels)
            )
    path.write_bytes(whole + b"more")
    assert np.array_equal(outcome(path)[0], pixels)


@pytest.mark.parametrize(
    "name",
    ["rgb16.tif", "lzw.tiff", "many.gif", "lossy.webp", "p.bmp", "adobe cmyk.jpg", "turned.jpg"],
)
def test_random_damage_is_a_photo_error_or_an_image(cases, tmp_path, name):
    (case,) = [case for case in cases if case.path.name == name]
    whole, rng = case.path.read_bytes(), np.random.default_rng(0)
    path = tmp_path / name
    for _ in range(150):
        damaged = bytearray(whole)
        for position in rng.integers(0, min(len(whole), 400), 4):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        result = outcome(path)
        assert result if isinstance(result, str) else result[0].shape[2] == 3


def test_transparency_and_profile_are_kept_by_open(tmp_path):
    path = tmp_path / "x.png"
    rgba = corpus.noise(21, 34, 4, dtype=np.uint16)
    path.write_bytes(corpus.png(rgba))
    assert np.array_equal(np.asarray(open_photo(path)), corpus.rounded(rgba))
    Image.fromarray(corpus.rounded(rgba)).save(path, icc_profile=b"any")
    assert open_photo(path).mode == "RGBA"
    assert open_photo(path).info["icc_profile"] == b"any"

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


def outcome(path):
    """Pixels (h, w, 3) and notes, or the reason; messages are one printable line."""
    try:
        pixels, notes = decode(path)
    except PhotoError as error:
        assert str(error) == f"{printable(path)}: {error.reason}"
        assert str(error).isprintable(), path
        return error.reason
    return pixels.permute(1, 2, 0).numpy(), notes


def is_expected(case, result):
    """Whether a case has this result: a reason, or pixels and notes."""
    if case.reason or isinstance(result, str):
        return bool(case.reason and isinstance(result, str) and re.search(case.reason, result))
    pixels, notes = result
    close = pixels.shape == case.pixels.shape and np.allclose(pixels, case.pixels, 0, case.off)
    return close and notes == case.notes


def wrong(cases, results):
    """Names and results of the cases that went wrong."""
    pairs = zip(cases, results, strict=True)
    return [(case.path.name, result) for case, result in pairs if not is_expected(case, result)]


def test_errors_survive_a_process_pool():
    error = pickle.loads(pickle.dumps(PhotoError("x.png: an empty file", "an empty file")))
    assert (str(error), error.reason) == ("x.png: an empty file", "an empty file")


def test_paths_are_shown_as_one_printable_line():
    assert printable(Path("a/ü b.png")) == "a/ü b.png"
    assert printable(os.fsdecode(b"\xff\n.png")) == "\\xff\\n.png"
    assert printable("\ud800 \u202e") == "\\ud800 \\u202e"


def test_every_file_gives_its_pixels_or_the_reason_in_threads_and_nothing_global_changes(cases):
    def state():
        return list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES

    assert len(cases) > 100
    several, before = cases * 3, state()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(outcome, [case.path for case in several]))
    assert wrong(several, results) == []
    assert state() == before
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_read_and_open_agree_with_decode(cases):
    for case in (case for case in cases if not case.reason):
        pixels = decode(case.path).pixels
        assert pixels.is_contiguous()
        assert read_photo(case.path).equal(pixels)
        # 16-bit colours are rounded before they are laid on white, instead of afterwards.
        opened = pixels_of(to_rgb(open_photo(case.path)))
        assert (opened.int() - pixels.int()).abs().max() <= 1, case.path
    for case in (case for case in cases if case.reason):
        with pytest.raises(PhotoError):
            open_photo(case.path)


def test_allowed_sizes_give_no_bomb_warning(cases, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in cases:  # Pillow itself checks the size of TIFF once more
            if (
                case.pixels is not None
                and case.pixels.size == 714 * 3
                and "tif" not in case.path.name
            ):
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
    with pytest.raises(PhotoError, match=f"changed .*{size:,}, {size // 2:,} bytes"):
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
            harmless = i >= len(whole) - 12 and np.array_equal(result[0], pixels)
            assert harmless or isinstance(result, str)
    path.write_bytes(whole + b"more")
    assert np.array_equal(outcome(path)[0], pixels)


@pytest.mark.parametrize("name", ["rgb16.tif", "lzw.tiff", "many.gif", "lossy.webp", "turned.jpg"])
def test_random_damage_is_a_photo_error_or_an_image(cases, tmp_path, name):
    path, rng = tmp_path / name, np.random.default_rng(0)
    whole = cases[0].path.with_name(name).read_bytes()
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

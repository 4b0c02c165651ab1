"""Image files are found, read and written with all that belongs to them."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from srlit.data.photo_file import PhotoError
from srlit.inference.image_files import find_images, output_path, read_image, write_image


def test_transparency_and_profile_survive_reading_and_writing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    image = read_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png", image.rgb, image.alpha, image.profile)
    written = Image.open(tmp_path / "b.png")
    assert np.array_equal(np.array(written), pixels)
    assert written.info["icc_profile"] == profile
    with pytest.raises(PhotoError, match=r"c\.jpg: .*format=\.png"):
        write_image(tmp_path / "c.jpg", image.rgb, image.alpha)


@pytest.mark.parametrize("space", ["LAB", "broken", "cut"])
def test_a_profile_that_is_broken_or_not_of_rgb_is_not_handed_on(tmp_path, space, caplog):
    kind = space if space == "LAB" else "sRGB"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()
    profile = {"broken": bytes(500), "cut": profile[:99]}.get(space, profile)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", icc_profile=profile)
    assert read_image(tmp_path / "a.png").profile is None
    assert ("a.png" in caplog.text) == (space != "LAB")


def test_16_bit_gray_is_scaled_and_cmyk_profiles_are_dropped(tmp_path):
    gray = np.full((4, 4), 32768, np.uint16)
    Image.fromarray(gray).save(tmp_path / "gray.png", transparency=7)
    assert read_image(tmp_path / "gray.png").rgb.mean() == pytest.approx(0.5, abs=0.01)
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.jpg", icc_profile=b"cmyk")
    assert read_image(tmp_path / "c.jpg").profile is None


def test_output_paths_keep_the_tree(tmp_path):
    source, out = tmp_path / "in" / "sub" / "a.jpg", tmp_path / "out"
    assert output_path(source, tmp_path / "in", out, ".png") == out / "sub" / "a.png"
    source.parent.mkdir(parents=True)
    source.touch()
    assert output_path(source, source, out, ".png") == out / "a.png"


def test_hidden_files_and_results_are_no_inputs(tmp_path):
    for name in ("a.png", "._a.png", "out/a.png", "out.png", "sub/b.JPG", "sub/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_images(str(tmp_path), outside=tmp_path / "out")
    assert [path.name for path in found] == ["a.png", "out.png", "b.JPG"]
    with pytest.raises(FileNotFoundError, match="input=.*none"):
        find_images(str(tmp_path / "none"))

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.data import PhotoError
from srlit.degradation import Degradation
from srlit.evaluation.comparison_images import ComparisonImages, comparison
from srlit.evaluation.measure import measure
from srlit.evaluation.tables import format_value, markdown_table
from srlit.inference.image_files import find_images, output_path, read_image, write_image
from srlit.inference.upscalers import Interpolator, NetworkUpscaler
from srlit.metrics.suite import MetricSuite
from srlit.models.edsr import EDSR
from srlit.train import build_data
from tests.helpers import compose_config


@pytest.fixture
def network():
    torch.manual_seed(0)
    generator = EDSR(scale=2, width=8, blocks=2)
    for parameter in generator.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return generator


def test_tiles_of_a_convolutional_network_equal_the_whole_image(network, photo):
    """EDSR's receptive field of 8 pixels lies well inside half an overlap of 32."""
    lr = photo[..., :150, :201].float() / 255
    cpu = torch.device("cpu")
    whole = NetworkUpscaler("whole", network, device=cpu)(lr)
    tiled = NetworkUpscaler("tiled", network, device=cpu, tile=64, overlap=32)(lr)
    assert tiled.shape == whole.shape == (1, 3, 300, 402)
    assert (tiled - whole).abs().max() < 0.02
    assert (tiled - whole).abs().mean() < 1e-4


def test_interpolators(photo):
    lr = photo[..., :20, :30].float() / 255
    for name in ("bilinear", "bicubic"):
        assert Interpolator(name, scale=3)(lr).shape == (1, 3, 60, 90)
    with pytest.raises(ValueError, match="'lanczos': expected bilinear or bicubic"):
        Interpolator("lanczos", scale=2)


def test_transparency_and_colour_survive_reading_and_writing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=b"profile")
    picture = read_image(tmp_path / "a.png")
    assert picture.profile == b"profile"
    write_image(tmp_path / "b.png", picture.rgb, picture.alpha, picture.profile)
    written = Image.open(tmp_path / "b.png")
    assert np.array_equal(np.array(written), pixels)
    assert written.info["icc_profile"] == b"profile"
    with pytest.raises(PhotoError, match="JPEG holds no transparency"):
        write_image(tmp_path / "c.jpg", picture.rgb, picture.alpha)


def test_deep_gray_and_foreign_profiles_are_read_right(tmp_path):
    gray = np.full((4, 4), 32768, np.uint16)
    Image.fromarray(gray).save(tmp_path / "gray.png", transparency=7)
    assert read_image(tmp_path / "gray.png").rgb.mean() == pytest.approx(0.5, abs=0.01)
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.jpg", icc_profile=b"cmyk")
    assert read_image(tmp_path / "c.jpg").profile is None


def test_output_paths_keep_the_tree(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "sub" / "a.jpg")
    (path,) = find_images(str(folder))
    assert output_path(path, folder, tmp_path / "out", ".png") == tmp_path / "out" / "sub" / "a.png"
    assert output_path(path, path, tmp_path / "out", ".png") == tmp_path / "out" / "a.png"
    with pytest.raises(ValueError, match=r"format='\.gif'"):
        output_path(path, folder, tmp_path / "out", ".gif")
    with pytest.raises(FileNotFoundError, match="input="):
        find_images(str(tmp_path / "none"))


def test_comparison_is_labelled_and_complete():
    picture = comparison({"LR": torch.zeros(3, 8, 8), "HR": torch.ones(3, 16, 16)})
    assert picture.shape == (3, 16 + 26, 16 + 4 + 16)
    assert (picture[:, 26:, :16] == 0).all()
    assert picture[:, :26].min() < 0.5  # there is text


def test_measuring_gives_means_of_photos_whatever_the_batch(photo_folder, tmp_path):
    cfg = compose_config(
        "train",
        "data=folder",
        f"data.photos.train_folder={photo_folder}",
        "data.photos.holdout=5",
        "data.eval_crop=null",
        "paths.cache=null",
    )
    results = []
    for batch_size in (1, 4):
        cfg.data.eval_batch_size = batch_size
        data = build_data(cfg)
        assert isinstance(data.eval_degradation, Degradation)
        found = measure(
            [Interpolator("bicubic", scale=2), Interpolator("bilinear", scale=2)],
            data.evaluation_photos("test"),
            data.eval_degradation,
            MetricSuite(names=["psnr_rgb_b0", "mae"]),
            torch.device("cpu"),
            images=ComparisonImages(tmp_path / str(batch_size), 2),
        )
        assert len(found.photos) == 10
        assert [row["name"] for row in found.means] == ["bicubic", "bilinear"]
        own = [row["mae"] for row in found.photos if row["name"] == "bicubic"]
        assert found.means[0]["mae"] == pytest.approx(sum(own) / 5)
        assert len(list((tmp_path / str(batch_size)).iterdir())) == 2
        results.append(sorted((row["name"], row["photo"], row["mae"]) for row in found.photos))
    for one, four in zip(*results, strict=True):
        assert one[:2] == four[:2]
        assert one[2] == pytest.approx(four[2], abs=1e-6)


def test_the_markdown_table_marks_the_best():
    rows = [
        {"name": "a", "psnr_rgb_b0": 25.123, "mae": 0.02},
        {"name": "b", "psnr_rgb_b0": 24.0, "mae": 0.01},
    ]
    table = markdown_table(rows)
    assert "| a | **25.12** | 0.0200 |" in table
    assert "| b | 24.00 | **0.0100** |" in table
    assert format_value("x") == "x"

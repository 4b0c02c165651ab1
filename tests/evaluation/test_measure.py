"""Means over photos, whatever the batches; broken photos."""

import pytest
import torch
from PIL import Image

from srlit.data.photo_file import PhotoError
from srlit.evaluation.measure import Measurement
from srlit.inference.upscalers import Interpolator, NetworkUpscaler
from srlit.metrics.suite import MetricSuite
from srlit.train import build_data
from tests.helpers import compose_config
from tests.hungry import Hungry

CPU = torch.device("cpu")
METHODS = [Interpolator(name, scale=2) for name in ("bicubic", "bilinear")]


def measured(photo_folder, batch_size, methods=METHODS, **given):
    options = ("data=folder", f"data.photos.train_folder={photo_folder}", "data.photos.holdout=5")
    sizes = ("data.eval_crop=null", f"data.eval_batch_size={batch_size}", "paths.cache=null")
    data = build_data(compose_config("train", *options, *sizes))
    photos = data.evaluation_photos("test")
    if broken := given.pop("broken", 0):
        for photo in photos.photos[:broken]:
            photo.path.write_bytes(b"no image")
    metrics = MetricSuite(names=["psnr_rgb_b0", "mae"])
    measured = Measurement(photos, data.eval_degradation, methods, metrics, device=CPU, **given)
    return measured.results()


def test_results_do_not_depend_on_the_batch_size(photo_folder, tmp_path):
    found = []
    for batch_size in (1, 4):
        folder = tmp_path / str(batch_size)
        results = measured(photo_folder, batch_size, image_folder=folder, image_count=2)
        assert len(results.photos) == 10
        assert [row["name"] for row in results.means] == ["bicubic", "bilinear"]
        own = [row["mae"] for row in results.photos if row["name"] == "bicubic"]
        assert results.means[0]["mae"] == pytest.approx(sum(own) / 5)
        assert len(list(folder.iterdir())) == 2
        found.append(sorted((row["name"], row["photo"], row["mae"]) for row in results.photos))
    for one, four in zip(*found, strict=True):
        assert (*one[:2], pytest.approx(one[2], abs=1e-6)) == four


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_photo_that_breaks_after_the_audit_is_left_out(photo_folder, batch_size):
    results = measured(photo_folder, batch_size, broken=1)
    [(path, reason)] = results.unreadable
    assert len(results.photos) == 2 * 4
    assert path.name not in {row["photo"] for row in results.photos}
    assert path.name in reason


def test_without_a_readable_photo_nothing_is_measured(photo_folder):
    with pytest.raises(PhotoError, match=r"\.png"):
        measured(photo_folder, 4, broken=5)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("limits", [{"width": 70}, {"widest": 70}, {"width": 99, "height": 60}])
def test_an_image_that_a_method_fails_on_is_left_out_for_all(photo_folder, batch_size, limits):
    """No memory by torch or by NumPy, NaN; the others keep their values to the bit."""
    for path in list(photo_folder.iterdir())[:6]:
        Image.open(path).resize((142, 124)).save(path)
    network = NetworkUpscaler("net", Hungry(**limits), device=CPU)
    found = measured(photo_folder, batch_size, [*METHODS, network])
    whole = measured(photo_folder, 1)
    failed = {path.name for path, _ in found.unreadable}
    assert failed
    assert all(path.name in reason for path, reason in found.unreadable)
    left = [row for row in whole.photos if row["photo"] not in failed]
    assert len(found.photos) == len(left) * 3 // 2 > 0
    own = {(row["name"], row["photo"]): row["mae"] for row in found.photos}
    for row in left:
        assert own[row["name"], row["photo"]] == pytest.approx(row["mae"], abs=1e-7)

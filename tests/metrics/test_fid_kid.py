"""KID and FID of patches against their definitions in NumPy."""

import logging
import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.image.kid import poly_kernel, poly_mmd

from srlit.metrics.fid_kid import FID, KID, PatchFeatureExtractor, kid, patches
from srlit.metrics.planes import to_8_bit
from srlit.metrics.suite import MetricSuite

NAMES = ["kid_vgg_p16", "fid_vgg_p16"]


@pytest.fixture
def features():
    """Of seven images with two to four patches each; the restored are moved a little."""
    generator = torch.Generator().manual_seed(0)
    counts = (2, 3, 4, 2, 3, 4, 2)
    hr = [torch.rand(n, 5, generator=generator, dtype=torch.float64) * 3 for n in counts]
    sr = [x + 0.3 * torch.rand(x.shape, generator=generator, dtype=torch.float64) for x in hr]
    return sr, hr


def by_definition(sr, hr):
    """The mean of h over pairs of patches of different images."""

    def k(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    values = [
        k(x, v) + k(y, w) - k(x, w) - k(y, v)
        for i, j in permutations(range(len(sr)), 2)
        for x, y in zip(sr[i], hr[i], strict=True)
        for v, w in zip(sr[j], hr[j], strict=True)
    ]
    return sum(values) / len(values)


def test_kid_and_its_error_are_their_definitions(features):
    sr, hr = features
    value, error = kid(sr, hr)
    assert value == pytest.approx(by_definition(sr, hr), rel=1e-10)
    without = [by_definition(sr[:i] + sr[i + 1 :], hr[:i] + hr[i + 1 :]) for i in range(len(sr))]
    n = len(sr)
    jackknife = math.sqrt((n - 1) / n * sum((w - sum(without) / n) ** 2 for w in without))
    assert error == pytest.approx(jackknife, rel=1e-10)
    assert value > 0


def test_kid_of_one_patch_an_image_is_torchmetrics_but_for_the_pairs_of_one_image(features):
    sr, hr = (torch.cat(part) for part in features)
    m = len(sr)
    across = poly_kernel(hr, sr)
    own = across.diagonal().sum()
    counted = poly_mmd(hr, sr) + 2 * across.mean() - 2 * (across.sum() - own) / (m * (m - 1))
    assert kid(sr.split(1), hr.split(1))[0] == pytest.approx(float(counted), rel=1e-10)


def test_kid_is_unbiased():
    """Two samples of one distribution: 0 on the mean, within its own errors."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(200):
        sr, hr = torch.rand(2, 12, 2, 4, generator=generator, dtype=torch.float64)
        found.append(kid(sr.unbind(), hr.unbind()))
    values, errors = np.array(found).T
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(200)
    assert (values < 0).any()
    assert errors.mean() == pytest.approx(values.std(), rel=0.3)


def test_too_few_images_have_no_kid(features):
    sr, hr = features
    assert all(math.isnan(v) for v in kid(sr[:1], hr[:1]))
    value, error = kid(sr[:2], hr[:2])
    assert math.isfinite(value)
    assert all(math.isnan(v) for v in (error, KID.compute([], [])[""], FID.compute([], [])[""]))


def test_fid_is_its_definition(features):
    sr, hr = (torch.cat(part) for part in features)
    (mx, cx), (my, cy) = ((x.mean(0), np.cov(x.T)) for x in (sr.numpy(), hr.numpy()))
    expected = ((mx - my) ** 2).sum() + np.trace(cx + cy - 2 * sqrtm(cx @ cy).real)
    assert FID.compute(*features)[""] == pytest.approx(expected, rel=1e-8)


@pytest.fixture
def hr(photo):
    return torch.cat([photo[..., i : i + 50, 3 * i : 3 * i + 36] for i in (0, 40, 80, 120)]) / 255


def noisy(hr, amount):
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return to_8_bit(hr + amount * noise)


def test_patches_are_cut_row_by_row(hr):
    found = patches(hr, 16)
    assert found.shape == (4 * 3 * 2, 3, 16, 16)
    assert torch.equal(found[6 + 3], hr[1, :, 16:32, 16:32])


def test_an_image_does_not_depend_on_its_batch_nor_a_method_on_others(hr, vgg16_folder):
    suite = MetricSuite(names=[], set_names=NAMES, weights_dir=vgg16_folder)
    restored = {"mild": noisy(hr, 0.02), "harsh": noisy(hr, 0.3), "none": hr}
    together, apart = suite.over_set(), suite.over_set()
    together.update(restored, hr)
    for i in (2, 0, 3, 1):
        apart.update({"harsh": restored["harsh"][i : i + 1]}, hr[i : i + 1])
    found = together.compute()
    for name in ("kid_vgg_p16", "kid_vgg_p16_error"):
        assert apart.compute()["harsh"][name] == pytest.approx(found["harsh"][name], rel=1e-4)
    assert found["mild"]["kid_vgg_p16"] < found["harsh"]["kid_vgg_p16"]
    assert found["none"]["kid_vgg_p16"] == found["none"]["kid_vgg_p16_error"] == 0


def test_fid_of_few_patches_warns(hr, vgg16_folder, caplog):
    sets = MetricSuite(names=[], set_names=NAMES[1:], weights_dir=vgg16_folder).over_set()
    sets.update({"none": hr}, hr)
    with caplog.at_level(logging.WARNING):
        found = sets.compute()["none"]["fid_vgg_p16"]
    assert found == pytest.approx(0, abs=1e-4)
    assert "24 patches for 512 features" in caplog.text


def test_features_are_means_of_the_last_layer(hr, vgg16_folder):
    view = PatchFeatureExtractor(vgg16_folder, False, "vgg", 16)
    with torch.no_grad():
        found = view(hr)
        layer = view.backbone(hr[2:3, :, 32:48, 16:32], ["relu5_3"])["relu5_3"]
    assert found.shape == (4, 6, 512)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found[2, 5].float(), layer.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kid_inception_p64", "metrics.set_names has 'kid_inception_p64'"),
        ("kid_alex", "kid_alex"),
        ("kid_alex_p30", "p30: alex needs 31"),
    ],
)
def test_a_name_that_cannot_be_measured_is_named(name, words, tmp_path):
    with pytest.raises(ValueError, match=words.replace("|", r"\|")):
        MetricSuite(names=[], set_names=[name], weights_dir=str(tmp_path))

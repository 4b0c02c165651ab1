"""NIQE's parts against scipy; its value against BasicSR's is in test_published.py."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from srlit.metrics.niqe import (
    SHIFTS,
    asymmetric_gaussian,
    block_features,
    niqe,
    normalised_luminance,
    pristine,
)


@pytest.fixture
def levels(photo):
    return photo[:, 1:2, :192, :288].double()


def test_normalised_luminance_is_scipys(levels):
    image = levels[0, 0].numpy()
    mean, square = (
        ndimage.gaussian_filter(x, 7 / 6, mode="nearest", radius=3) for x in (image, image**2)
    )
    expected = (image - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
    np.testing.assert_allclose(normalised_luminance(levels)[0, 0], expected, atol=1e-8)


@pytest.mark.parametrize("shape", [0.8, 1.0, 2.0, 3.5])
def test_the_shape_of_drawn_samples_is_found(shape):
    """Generalised Gaussians of one scale on the left and another on the right."""
    drawn = np.abs(stats.gennorm.rvs(shape, size=400_000, random_state=1))
    left_of = np.random.default_rng(2).random(drawn.size) < 0.5 / (0.5 + 1.2)
    x = torch.from_numpy(np.where(left_of, -0.5 * drawn, 1.2 * drawn))[None, None]
    found = [float(value) for value in asymmetric_gaussian(x)]
    assert found == pytest.approx([shape, 0.5, 1.2], rel=0.03)


def test_features_are_those_of_each_block(levels):
    """18 in the authors' order: shape and width, then shape, mean, left, right of each product."""
    found = block_features(levels, 96)[0]
    assert found.shape == (6, 18)
    normalised = normalised_luminance(levels)[0, 0]
    for number, (row, column) in enumerate((r, c) for r in range(2) for c in range(3)):
        block = normalised[96 * row : 96 * row + 96, 96 * column : 96 * column + 96]
        for i, shift in enumerate(SHIFTS):
            product = (block * torch.from_numpy(np.roll(block.numpy(), shift, (0, 1)))).flatten()
            shape, left, right = (float(v) for v in asymmetric_gaussian(product[None, None]))
            mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
            expected = torch.tensor([shape, mean, left, right], dtype=torch.float64)
            torch.testing.assert_close(found[number, 2 + 4 * i : 6 + 4 * i], expected)


def test_a_flat_image_has_no_value_and_its_batch_mates_have_theirs(levels):
    """A flat block is left out of the covariance, as in the authors' code."""
    y = levels / 255
    part_flat = y.clone()
    part_flat[..., :96, :96] = 0.5
    found = niqe(torch.cat([y, torch.full_like(y, 0.5), part_flat]))
    torch.testing.assert_close(found[:1], niqe(y))
    assert found.isfinite().tolist() == [True, False, True]
    assert found[2] != found[0]


def test_an_image_without_four_blocks_is_refused():
    with pytest.raises(ValueError, match=r"got 191x400 pixels, expected at least 192x192.*metrics"):
        niqe(torch.rand(1, 1, 191, 400, dtype=torch.float64))


def test_the_pristine_model_is_a_covariance():
    mean, covariance = pristine(torch.device("cpu"))
    assert mean.shape == (36,)
    assert torch.equal(covariance, covariance.T)
    assert torch.linalg.eigvalsh(covariance).min() > 0
    assert 2 < float(mean[0]) < 4  # the shape of natural photos' normalised luminance

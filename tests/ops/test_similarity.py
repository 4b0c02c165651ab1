"""MS-SSIM against its definition in NumPy, in float64; SSIM is in tests/metrics/test_metrics.py."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from srlit.ops import similarity
from srlit.ops.similarity import SCALE_WEIGHTS, ms_ssim, ssim


@pytest.fixture
def pair(photo):
    hr = photo[..., :201, :190].float() / 255
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return (hr + 0.08 * noise).clamp(0, 1), hr


def by_definition(x, y):
    """Eq. 7 of Wang et al. 2003 for one channel."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        maps = (x, y, x * x, y * y, x * y)
        mx, my, xx, yy, xy = (convolve2d(z, window, "valid") for z in maps)
        both = (2 * (xy - mx * my) + 9e-4) / (xx - mx**2 + yy - my**2 + 9e-4)
        if scale == 4:
            both = both * (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
        product *= both.mean() ** weight
        x, y = (half(z) for z in (x, y))
    return product


def half(z):
    h, w = (side // 2 * 2 for side in z.shape)
    return z[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3))


def test_ms_ssim_is_its_definition(pair):
    sr, hr = (image[0].double().numpy() for image in pair)
    expected = np.mean([by_definition(a, b) for a, b in zip(sr, hr, strict=True)])
    assert float(ms_ssim(*pair)[0]) == pytest.approx(expected, abs=2e-6)
    assert 0.5 < expected < 0.99


def test_one_scale_is_ssim(pair):
    gray = [image.mean(1, keepdim=True) for image in pair]
    torch.testing.assert_close(ms_ssim(*gray, weights=(1.0,)), ssim(*gray))


def test_a_reversed_image_has_a_similarity_and_a_gradient(pair):
    """Its covariance is below 0, of which no root can be taken."""
    sr = (1 - pair[1]).requires_grad_()
    value = ms_ssim(sr, pair[1])
    value.sum().backward()
    assert 0 < float(value) < 0.1
    assert sr.grad.isfinite().all()


def test_images_too_small_name_the_keys():
    image = torch.rand(1, 3, 175, 200)
    with pytest.raises(ValueError, match="5 scales: got 175x200 .* 176x176.*data.patch_size"):
        ms_ssim(image, image)
    with pytest.raises(ValueError, match="1 scales: got 175x10 .* 11x11"):
        ssim(image[..., :10], image[..., :10])


@pytest.mark.parametrize("rows", [1, 20, 60])
def test_strips_of_a_large_image_give_the_mean_of_the_whole(pair, monkeypatch, rows):
    """191 rows of windows, which these strips do not divide."""
    whole = ssim(*pair)
    monkeypatch.setattr(similarity, "STRIP", rows * 190)
    torch.testing.assert_close(ssim(*pair), whole, rtol=0, atol=1e-6)
    assert not torch.allclose(whole, torch.ones(1))

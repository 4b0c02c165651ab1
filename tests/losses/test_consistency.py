import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from srlit.config import build
from srlit.losses.colour_consistency import ColourConsistency
from srlit.losses.lr_consistency import LRConsistency
from srlit.ops.filters import gaussian_blur
from srlit.ops.resize import imresize, shrink
from srlit.ops.rng import make_keys
from tests.helpers import compose_config


@pytest.fixture
def hr(photo) -> Tensor:
    return photo[..., 60:124, 100:180].float() / 255


def scipys(image, sigma):
    pixels, radius = image.double().numpy(), (0, 0, 7, 7)
    return gaussian_filter(pixels, (0, 0, sigma, sigma), mode="nearest", radius=radius)


def test_the_blur_is_scipys(hr):
    np.testing.assert_allclose(gaussian_blur(hr, 1.7).numpy(), scipys(hr, 1.7), atol=1e-6)


def test_colour_is_a_difference_of_blurred_images(hr):
    sr = hr.flip(-1)
    expected = ((scipys(sr, 3**0.5) - scipys(hr, 3**0.5)) ** 2).mean()
    assert float(ColourConsistency()(sr, hr)) == pytest.approx(expected, rel=1e-4)


def test_colour_sees_a_cast_and_hardly_texture(hr):
    cast = torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    checked = (torch.arange(64)[:, None] + torch.arange(80)) % 2 - 0.5
    term = ColourConsistency(sigma=3.0)
    assert float(term(hr + cast, hr)) == pytest.approx(0.02 / 3, rel=1e-4)
    assert term(hr + 0.2 * checked, hr) < 1e-3 * term(hr + cast, hr)


def test_the_papers_amplitude_belongs_to_a_variance_of_three():
    spike = torch.zeros(1, 3, 41, 41)
    spike[..., 20, 20] = 1
    found = gaussian_blur(spike, ColourConsistency().sigma)[0, 0, 20, 20]
    assert float(found) == pytest.approx(0.053, abs=1e-4)


def test_shrinking_is_matlabs_without_its_rounding(hr):
    for scale in (2, 4):
        ours = shrink(hr, (64 // scale, 80 // scale))
        assert (ours - imresize(hr, 1 / scale)).abs().max() < 1.01 / 255


def test_the_image_that_was_shrunk_is_consistent_and_another_is_not(hr):
    lr = imresize(hr, 0.5)
    term = LRConsistency(sigma=0.2)
    assert term(hr, hr, lr) < 0.5 / 255  # rounding to 8 bits, twice
    torch.testing.assert_close(term(hr + 0.1, hr, lr), torch.tensor(0.1), atol=2e-3, rtol=0)
    torch.testing.assert_close(term(hr, hr, shrink(hr, (32, 40))), torch.tensor(0.0))


def test_detail_that_the_input_cannot_show_is_free(hr):
    lr = shrink(hr, (32, 40))
    checked = ((torch.arange(64)[:, None] + torch.arange(80)) % 2 - 0.5).expand_as(hr)
    assert LRConsistency(sigma=0.2)(hr + 0.2 * checked, hr, lr) < 0.004


def test_the_blur_takes_noise_down_as_the_docstring_says():
    """Away from the border; mean |noise| is sqrt(2 / pi) of its standard deviation."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.04 * torch.randn(4, 3, 256, 256, generator=generator)
    flat = torch.full((4, 3, 512, 512), 0.5)
    left = LRConsistency(sigma=2.0)(flat, flat, 0.5 + noise)
    assert float(left) == pytest.approx(0.04 * 0.141 * (2 / np.pi) ** 0.5, rel=0.05)


@pytest.mark.parametrize("preset", ["fixed", "blind", "bsrgan", "realesrgan", "camera"])
def test_the_target_is_consistent_with_a_blind_input_and_a_cast_is_not(photo, preset):
    """The blur takes away most of what noise, blur and compression changed."""
    degradation = build(compose_config("train", f"degradation={preset}").degradation)
    images = photo[..., 60:156, 100:196].div(255).repeat(12, 1, 1, 1)
    draws = degradation.sample(make_keys(0, (), torch.arange(12)))
    lr = degradation.apply(images, draws)
    term = LRConsistency()
    target = term(images, images, lr)
    assert target < 0.5 * term(images + 0.05, images, lr)
    assert target < 0.5 * LRConsistency(sigma=0.2)(images, images, lr)

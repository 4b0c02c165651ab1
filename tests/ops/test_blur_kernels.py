import math

import numpy as np
import pytest
import torch
from scipy import ndimage, special

from srlit.ops.blur_kernels import (
    disk,
    generalised_gaussian,
    inside,
    motion,
    normalised,
    plateau,
    quadratic_form,
    sinc,
)
from srlit.ops.filters import gaussian_taps


def one(*values):
    return [torch.tensor([float(value)]) for value in values]


def test_a_round_gaussian_is_the_separable_one():
    q = quadratic_form(*one(1.3, 1.3, 0.7), 9)
    taps = gaussian_taps(torch.tensor([1.3]), torch.tensor([9]), 9)[0]
    kernel = normalised(generalised_gaussian(q, torch.ones(1)))[0]
    torch.testing.assert_close(kernel, torch.outer(taps, taps))


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
def test_a_turned_gaussian_has_its_covariance(angle):
    """R diag(sx^2, sy^2) R', measured on the kernel: y grows downwards."""
    kernel = normalised(torch.exp(-0.5 * quadratic_form(*one(3.0, 1.5, angle), 41)))[0].double()
    x = torch.arange(41.0).double() - 20
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    expected = rotation @ torch.diag(torch.tensor([9.0, 2.25]).double()) @ rotation.T
    cross = (kernel * x[:, None] * x[None, :]).sum()
    measured = torch.tensor(
        [[(kernel.sum(0) * x * x).sum(), cross], [cross, (kernel.sum(1) * x * x).sum()]]
    )
    torch.testing.assert_close(measured, expected.to(measured), rtol=1e-3, atol=1e-3)


def test_shapes_of_real_esrgan_by_hand():
    q, beta = torch.tensor([[[0.0, 4.0], [1.0, 9.0]]]), torch.tensor([0.5])
    heavy = torch.tensor([[1.0, math.exp(-1.0)], [math.exp(-0.5), math.exp(-1.5)]])
    torch.testing.assert_close(generalised_gaussian(q, beta)[0], heavy)
    torch.testing.assert_close(plateau(q, beta)[0], torch.tensor([[1.0, 1 / 3], [0.5, 0.25]]))


@pytest.mark.parametrize("cutoff", [math.pi / 3, math.pi / 2, math.pi])
def test_sinc_is_real_esrgans_formula(cutoff):
    """basicsr's circular_lowpass_kernel, in numpy."""
    size = 21
    y, x = np.mgrid[:size, :size] - size // 2
    r = np.sqrt(x**2 + y**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        reference = cutoff * special.j1(cutoff * r) / (2 * np.pi * r)
    reference[size // 2, size // 2] = cutoff**2 / (4 * np.pi)
    ours = sinc(torch.tensor([cutoff]), size)[0]
    torch.testing.assert_close(ours, torch.from_numpy(reference).float(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("radius", [0.0, 1.0, 3.7])
def test_a_disk_has_its_area(radius):
    kernel = disk(torch.tensor([radius]), 13)[0]
    assert kernel[6, 6] > 0
    assert abs(float(kernel.sum()) - max(math.pi * radius**2, 0.5)) < 0.5 + 0.2 * radius
    assert torch.equal(kernel, kernel.T)


def test_motion_is_as_long_and_goes_where_it_should():
    kernel = normalised(motion(*one(9.0, 0.5, 0.0), 15))[0].double()
    y, x = torch.meshgrid(*[torch.arange(15.0).double() - 7] * 2, indexing="ij")
    assert abs(float((kernel * x).sum())) < 1e-4
    along = x * math.cos(0.5) + y * math.sin(0.5)
    across = y * math.cos(0.5) - x * math.sin(0.5)
    # A uniform line of length L has variance L^2 / 12; the bilinear hat adds about 1/6.
    assert abs(float((kernel * along**2).sum()) - (81 / 12 + 1 / 6)) < 0.15
    assert float((kernel * across**2).sum()) < 0.3
    bent = normalised(motion(*one(9.0, 0.5, 1.0), 15))[0].double()
    assert float((bent * across**2).sum()) > 0.4


def test_a_long_path_is_as_even_as_a_short_one():
    kernel = normalised(motion(*one(60.0, 0.0, 0.0), 63))[0]
    row = kernel[31, 4:-4]
    assert row.max() < 1.1 * row.min()


def test_no_motion_changes_nothing():
    kernel = normalised(motion(*one(0.0, 0.5, 0.3), 5))[0]
    image = np.random.default_rng(0).random((9, 9))
    np.testing.assert_allclose(ndimage.correlate(image, kernel.numpy()), image, atol=1e-6)


def test_support_is_a_square_of_its_own_size():
    assert inside(torch.tensor([3, 7]), 7).sum((1, 2)).tolist() == [9, 49]

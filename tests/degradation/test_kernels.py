import math

import numpy as np
import pytest
import torch
from scipy import ndimage, special

from srlit.degradation.kernels import Plateau
from srlit.degradation.stages.blur import Blur
from tests.degradation.sampling import FAMILIES, apply, rows


def kernel(family, size, **params):
    """One kernel, and the positions of its elements."""
    given = {name: torch.tensor([value]) for name, value in params.items()}
    kernels = FAMILIES[family].kernels({"support": torch.tensor([size]), **given}, size)
    y, x = torch.meshgrid(*[torch.arange(size).double() - size // 2] * 2, indexing="ij")
    return kernels[0].double(), x, y


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_blurs_as_scipy_does_and_differently_for_each_sample(photo, name):
    x = (photo[..., :48, :64].float() / 255).expand(4, -1, -1, -1)
    family = FAMILIES[name]
    assert family.name == name
    blur = Blur(kernels=[family])
    params = blur.sample(rows(4))
    kernels = family.kernels(params, family.size)
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(4))
    assert not torch.equal(kernels[0], kernels[1])
    ours = apply(blur, x, params)
    for i in range(4):
        reference = ndimage.correlate(x[i, 1].numpy(), kernels[i].numpy(), mode="nearest")
        torch.testing.assert_close(ours[i, 1], torch.from_numpy(reference), atol=3e-6, rtol=0)


@pytest.mark.parametrize("name", ["box", "gaussian", "isotropic_plateau"])
def test_support_is_a_square_of_its_own_size(name):
    one = torch.ones(2)
    params = {"support": torch.tensor([3, 7]), "angle": one, "beta": one, "sigma": one}
    kernels = FAMILIES[name].kernels({**params, "sigma_x": one, "sigma_y": one}, 7)
    assert (kernels > 0).sum((1, 2)).tolist() == [9, 49]
    assert name != "box" or torch.equal(kernels[1], torch.full((7, 7), torch.tensor(1 / 7) ** 2))


def test_a_round_gaussian_is_the_separable_one():
    round_, _, _ = kernel("generalised_gaussian", 9, sigma_x=1.3, sigma_y=1.3, angle=0.7, beta=1.0)
    torch.testing.assert_close(round_, kernel("gaussian", 9, sigma=1.3)[0], atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
def test_a_rotated_gaussian_has_its_covariance(angle):
    """R diag(sx^2, sy^2) R', measured on the kernel: y grows downwards."""
    k, x, y = kernel("anisotropic_gaussian", 41, sigma_x=3.0, sigma_y=1.5, angle=angle)
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    expected = rotation @ np.diag([9, 2.25]) @ rotation.T
    measured = [[float((k * a * b).sum()) for a in (x, y)] for b in (x, y)]
    np.testing.assert_allclose(measured, expected, rtol=1e-3, atol=1e-3)


def test_profiles_of_real_esrgan_by_hand():
    q, params = torch.tensor([[[0.0, 4.0], [1.0, 9.0]]]), {"beta": torch.tensor([[[0.5]]])}
    heavy = torch.tensor([[[1.0, math.exp(-1.0)], [math.exp(-0.5), math.exp(-1.5)]]])
    flat = torch.tensor([[[1.0, 1 / 3], [0.5, 0.25]]])
    for name, expected in (("generalised_gaussian", heavy), ("isotropic_plateau", flat)):
        torch.testing.assert_close(FAMILIES[name].profile(q, params), expected)


def test_half_of_the_plateaus_of_real_esrgan_have_beta_1():
    beta = Plateau(sizes=[7], sigma=[1, 2], beta=[1, 2]).sample(rows(2000))["beta"]
    assert abs((beta == 1).float().mean() - 0.5) < 0.04
    assert beta.max() > 1.95


@pytest.mark.parametrize("cutoff", [math.pi / 3, math.pi / 2, math.pi])
def test_sinc_is_real_esrgans_formula(cutoff):
    """basicsr's circular_lowpass_kernel, in numpy."""
    ours, x, y = kernel("sinc", 21, cutoff=cutoff)
    r = torch.hypot(x, y).numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        reference = cutoff * special.j1(cutoff * r) / (2 * np.pi * r)
    reference[10, 10] = cutoff**2 / (4 * np.pi)
    np.testing.assert_allclose(ours, reference / reference.sum(), atol=2e-6)


@pytest.mark.parametrize("radius", [0.0, 1.0, 3.7])
def test_a_disk_has_its_area(radius):
    disk, _, _ = kernel("defocus", 13, radius=radius)
    area = min(1, radius + 0.5) / disk[6, 6]
    assert abs(area - max(math.pi * radius**2, 0.5)) < 0.5 + 0.2 * radius
    assert torch.equal(disk, disk.T)


def test_motion_is_as_long_and_goes_where_it_should():
    variances = []
    for bend in (0.0, 1.0):
        k, x, y = kernel("motion", 15, length=9.0, angle=0.5, bend=bend)
        along = x * math.cos(0.5) + y * math.sin(0.5)
        across = y * math.cos(0.5) - x * math.sin(0.5)
        assert bend or abs((k * x).sum()) < 1e-4
        variances.append([float((k * d**2).sum()) for d in (along, across)])
    (along, across), (_, bent) = variances
    # A uniform line of length L has variance L^2 / 12; the bilinear hat adds about 1/6.
    assert abs(along - (81 / 12 + 1 / 6)) < 0.15
    assert across < 0.3
    assert bent > 0.4


def test_a_long_path_is_as_even_as_a_short_one():
    row = kernel("motion", 63, length=60.0, angle=0.0, bend=0.0)[0][31, 4:-4]
    assert row.max() < 1.1 * row.min()


def test_no_motion_changes_nothing():
    still, x, y = kernel("motion", 5, length=0.0, angle=0.5, bend=0.3)
    torch.testing.assert_close(still, ((x == 0) & (y == 0)).double(), atol=1e-6, rtol=0)


def test_what_was_drawn_before_does_not_change_a_type():
    """Tables are kept by their numbers and their type: 3.0 is no kernel size."""
    weighted = Blur(kernels=[FAMILIES["box"], FAMILIES["gaussian"]], weights=[3.0, 2.0])
    weighted.sample(rows(4))
    assert FAMILIES["box"].sample(rows(4))["support"].dtype == torch.int64

import numpy as np
import pytest
import torch
from scipy import ndimage

from srlit.degradation import (
    Blur,
    BoxKernel,
    Decimate,
    GaussianKernel,
    GaussianNoise,
    Jpeg,
    Noise,
    PoissonNoise,
    Quantise,
)
from srlit.ops.jpeg import jpeg
from srlit.ops.rng import RowGenerator, make_keys


def rows(n: int, seed: int = 0) -> RowGenerator:
    return RowGenerator(make_keys(seed, (), torch.arange(n)))


def test_blur_is_scipys_convolution(photo):
    x = photo[..., :64, :80].float() / 255
    blur = Blur(kernels=[GaussianKernel(sizes=[7], sigma=[0.9, 0.9])])
    params = blur.sample(rows(1))
    ours = blur.apply(x, params)
    t = np.arange(-3, 4)
    taps = np.exp(-0.5 * (t / 0.9) ** 2)
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    for c in range(3):
        reference = ndimage.correlate(x[0, c].numpy(), kernel, mode="nearest")
        torch.testing.assert_close(ours[0, c], torch.from_numpy(reference), atol=2e-6, rtol=0)


def test_blur_draws_both_families_and_all_sizes():
    blur = Blur(
        kernels=[GaussianKernel(sizes=[3, 5, 7], sigma=[0.2, 1.2]), BoxKernel(sizes=[3, 5])]
    )
    taps = blur.sample(rows(600))["taps"]
    torch.testing.assert_close(taps.sum(1), torch.ones(600))
    is_box = ((taps - taps[:, 3:4]).abs() < 1e-6).sum(1) > 1
    assert abs(is_box.float().mean() - 0.5) < 0.07
    assert set((taps[is_box] > 0).sum(1).tolist()) == {3, 5}
    # Wide Gaussians show their support; narrow ones underflow at the rim.
    assert (taps[~is_box][:, 0] > 0).any()


def test_decimation_kinds_are_drawn_per_sample(photo):
    x = (photo[..., :64, :64].float() / 255).expand(60, -1, -1, -1)
    stage = Decimate(scale=3, kinds=["bilinear", "bicubic", "area"])
    x = x[..., :63, :63]
    params = stage.sample(rows(60))
    assert set(params["kind"].tolist()) == {0, 1, 2}
    lr = stage.apply(x, params)
    assert lr.shape == (60, 3, 21, 21)
    for kind in range(3):
        same = lr[params["kind"] == kind]
        assert torch.equal(same, same[:1].expand_as(same))


def test_gaussian_noise_has_the_drawn_strength():
    x = torch.full((40, 3, 48, 48), 0.5)
    stage = Noise(kinds=[GaussianNoise(sigma=[1, 15])])
    params = stage.sample(rows(40))
    noise = stage.apply(x, params) - x
    measured = noise.std((1, 2, 3))
    torch.testing.assert_close(measured, params["strength"][:, 0], rtol=0.05, atol=0)
    assert noise.mean().abs() < 1e-3
    flat = noise.flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(40)).abs().max() < 0.06


def test_poisson_noise_has_the_variance_of_photons():
    stage = Noise(kinds=[PoissonNoise(scale=[10, 60])])
    params = stage.sample(rows(30))
    for level in (0.05, 0.3, 0.9):
        x = torch.full((30, 3, 64, 64), level)
        noisy = stage.apply(x, params)
        photons = params["strength"][:, 0]
        torch.testing.assert_close(noisy.mean((1, 2, 3)), x[:, 0, 0, 0], rtol=0.05, atol=0)
        torch.testing.assert_close(noisy.var((1, 2, 3)), level / photons, rtol=0.12, atol=0)


def test_noise_of_both_kinds_in_one_batch():
    x = torch.full((64, 3, 16, 16), 0.5)
    stage = Noise(kinds=[GaussianNoise(sigma=[5, 5]), PoissonNoise(scale=[20, 20])])
    params = stage.sample(rows(64))
    noisy = stage.apply(x, params)
    counts = noisy * 20
    is_whole = ((counts - counts.round()).abs() < 1e-4).all(dim=(1, 2, 3))
    assert torch.equal(is_whole, params["kind"] == 1)
    assert 0 < is_whole.sum() < 64


def test_jpeg_is_applied_with_its_probability_and_quality(photo):
    x = (photo[..., :32, :32].float() / 255).expand(200, -1, -1, -1)
    stage = Jpeg(quality=[60, 95], p=0.8)
    params = stage.sample(rows(200))
    assert abs(params["used"].float().mean() - 0.8) < 0.09
    assert params["quality"].min() >= 60
    assert params["quality"].max() <= 95
    assert len(set(params["quality"].tolist())) > 25
    coded = stage.apply(x, params)
    assert torch.equal(coded[~params["used"]], x[~params["used"]])
    used = params["used"]
    assert torch.equal(coded[used], jpeg(x[used], params["quality"][used]))


def test_quantise_rounds_to_8_bits():
    x = torch.tensor([-0.2, 0.5001, 1.7]).view(1, 3, 1, 1)
    stage = Quantise()
    expected = torch.tensor([0.0, 128 / 255, 1.0])
    torch.testing.assert_close(stage.apply(x, stage.sample(rows(1))).flatten(), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GaussianKernel(sizes=[4], sigma=[1, 1]),
            r"GaussianKernel.sizes=\[4\]: expected odd",
        ),
        (lambda: GaussianKernel(sizes=[3], sigma=[2, 1]), r"GaussianKernel.sigma=\[2, 1\]"),
        (lambda: GaussianNoise(sigma=[1, 300]), r"GaussianNoise.sigma=\[1, 300\].*0 to 255"),
        (lambda: Jpeg(quality=[0, 95]), r"Jpeg.quality=\[0, 95\].*1 to 100"),
        (lambda: Jpeg(quality=[60, 95], p=1.5), "Jpeg.p"),
        (lambda: Blur(kernels=[BoxKernel(sizes=[3])], weights=[1, 1]), r"Blur.weights=\[1, 1\]"),
    ],
)
def test_impossible_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

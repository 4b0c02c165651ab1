import pytest
import torch
from scipy import ndimage

from srlit.degradation import (
    AnisotropicGaussian,
    Bicubic,
    Blur,
    BlurDecimate,
    BoxKernel,
    CorrelatedNoise,
    Decimate,
    Defocus,
    GaussianKernel,
    GaussianNoise,
    GeneralisedGaussian,
    Jpeg,
    Motion,
    Noise,
    Plateau,
    PoissonNoise,
    Quantise,
    RandomApply,
    Resize,
    Sharpen,
    Shrink,
    Sinc,
    SpeckleNoise,
    WebP,
)
from srlit.ops.colour import luma
from srlit.ops.jpeg import jpeg
from srlit.ops.ragged_batch import RaggedBatch
from srlit.ops.resize import INTERPOLATIONS
from srlit.ops.rng import RowGenerator, make_keys
from tests.elsewhere import elsewhere, here

FAMILIES = {
    "gaussian": GaussianKernel(sizes=[3, 5, 7], sigma=[0.2, 1.2]),
    "box": BoxKernel(sizes=[3, 5]),
    "anisotropic_gaussian": AnisotropicGaussian(sizes=[7, 9], variance=[0.1, 8]),
    "generalised_gaussian": GeneralisedGaussian(sizes=[9, 11], sigma=[0.3, 3], beta=[0.5, 4]),
    "isotropic_plateau": Plateau(sizes=[7], sigma=[0.3, 3], beta=[1, 2], isotropic=True),
    "sinc": Sinc(sizes=[7, 21], cutoff=[1, 3.14]),
    "motion": Motion(length=[2, 9], bend=[0, 1]),
    "defocus": Defocus(radius=[1, 4]),
}


def rows(n: int, seed: int = 0) -> RowGenerator:
    return RowGenerator(make_keys(seed, (), torch.arange(n)))


def apply(stage, x, params):
    return stage.apply(RaggedBatch.of(x), params).pixels


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


def test_half_of_the_plateaus_of_real_esrgan_have_beta_1():
    beta = Plateau(sizes=[7], sigma=[1, 2], beta=[1, 2]).sample(rows(2000))["beta"]
    assert abs((beta == 1).float().mean() - 0.5) < 0.04
    assert beta.max() > 1.95


def test_what_was_drawn_before_does_not_change_a_type():
    """Tables are kept by their numbers and their type: 3.0 is no kernel size."""
    weighted = Blur(kernels=[FAMILIES["box"], FAMILIES["gaussian"]], weights=[3.0, 2.0])
    weighted.sample(rows(4))
    assert FAMILIES["box"].sample(rows(4))["support"].dtype == torch.int64


def test_blur_draws_all_families_by_their_weights():
    blur = Blur(kernels=list(FAMILIES.values()), weights=[8, 4, 4, 4, 4, 4, 2, 2])
    params = blur.sample(rows(3200))
    assert blur.names()["family"] == list(FAMILIES)
    share = torch.bincount(params["family"], minlength=8) / 100
    torch.testing.assert_close(share, torch.tensor([8.0, 4, 4, 4, 4, 4, 2, 2]), rtol=0.2, atol=0)
    # A family's parameters are drawn for its own samples and absent from the others.
    is_sinc = params["family"] == 5
    assert torch.equal(~params["cutoff"].isnan(), is_sinc)
    assert set(params["support"][is_sinc].tolist()) == {7, 21}
    assert set(params["support"][params["family"] == 6].tolist()) == {0}
    # Half of the betas below 1, half above.
    beta = params["beta"][params["family"] == 3]
    assert abs((beta < 1).float().mean() - 0.5) < 0.1
    isotropic = params["family"] == 4
    assert torch.equal(params["sigma_x"][isotropic], params["sigma_y"][isotropic])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_blur_and_decimation_in_one_filter_are_the_two_after_each_other(photo, scale):
    """On an image whose border goes on far enough that neither sees its end."""
    kernels = [FAMILIES["gaussian"], FAMILIES["box"]]
    kinds = ["bilinear", "bicubic", "area"]
    size, margin = 12 * scale, 12 * scale
    x = torch.nn.functional.pad(
        photo[..., :size, : 2 * size].float() / 255, (margin,) * 4, mode="replicate"
    ).expand(12, -1, -1, -1)
    inner = x[..., margin : margin + size, margin : margin + 2 * size]
    together = BlurDecimate(kernels=kernels, scale=scale, kinds=kinds)
    params = together.sample(rows(12))
    blurred = Blur(kernels=kernels).apply(RaggedBatch.of(x), params)
    apart = Decimate(scale=scale, kinds=kinds).apply(blurred, params).pixels
    cut = margin // scale
    expected = apart[..., cut : cut + 12, cut : cut + 24]
    torch.testing.assert_close(apply(together, inner, params), expected, atol=2e-6, rtol=0)


def test_decimation_kinds_are_drawn_per_sample(photo):
    x = (photo[..., :64, :64].float() / 255).expand(60, -1, -1, -1)
    stage = Decimate(scale=3, kinds=["bilinear", "bicubic", "area"])
    x = x[..., :63, :63]
    params = stage.sample(rows(60))
    assert set(params["kind"].tolist()) == {0, 1, 2}
    lr = apply(stage, x, params)
    assert lr.shape == (60, 3, 21, 21)
    for kind in range(3):
        same = lr[params["kind"] == kind]
        assert torch.equal(same, same[:1].expand_as(same))


def test_resize_draws_up_down_and_keep_and_sizes_follow(photo):
    stage = Resize(
        factors=[[1, 1.5], [0.15, 1], [1, 1]], weights=[0.2, 0.7, 0.1], kinds=INTERPOLATIONS
    )
    factor = stage.sample(rows(4000))["factor"]
    assert abs((factor > 1).float().mean() - 0.2) < 0.02
    assert abs((factor == 1).float().mean() - 0.1) < 0.02
    assert 0.15 <= factor.min() < 0.16
    assert 1.49 < factor.max() <= 1.5
    x = (photo[..., :60, :80].float() / 255).expand(40, -1, -1, -1)
    params = stage.sample(rows(40))
    canvas = stage.apply(RaggedBatch.of(x), params)
    assert canvas.pixels.shape == (40, 3, 90, 120)
    assert canvas.least == (9, 12)
    expected = (params["factor"].double()[:, None] * torch.tensor([60, 80])).long()
    assert torch.equal(canvas.sizes, expected)
    assert len({tuple(size) for size in canvas.sizes.tolist()}) > 25
    back = Resize(factors=[[1, 1]], kinds=["area"], shrink=2)
    same = back.apply(canvas, back.sample(rows(40)))
    assert same.sizes is None
    assert same.pixels.shape == (40, 3, 30, 40)


@pytest.mark.parametrize("factor", [0.7, 1 / 3, 0.35, 1.1])
def test_one_factor_for_all_fills_the_canvas(factor):
    """Drawn in float32, the factor may lie below the range by its last bit."""
    stage = Resize(factors=[[factor, factor]], kinds=["bilinear"])
    canvas = stage.apply(RaggedBatch.of(torch.ones(3, 3, 30, 20)), stage.sample(rows(3)))
    assert canvas.sizes is None
    assert canvas.pixels.shape[-2:] == (int(30 * factor), int(20 * factor))
    torch.testing.assert_close(canvas.pixels, torch.ones_like(canvas.pixels))


def test_shrink_draws_the_divisor_uniformly():
    divisor = 1 / Shrink(divisor=[1, 8], kinds=["area"]).sample(rows(4000))["factor"]
    assert 1 <= divisor.min() < 1.02
    assert 7.98 < divisor.max() <= 8.001
    assert abs(divisor.mean() - 4.5) < 0.1


NOISES = {
    "gaussian": GaussianNoise(sigma=[1, 15]),
    "speckle": SpeckleNoise(sigma=[5, 20]),
    "poisson": PoissonNoise(photons=[200, 800], gain=[0.5, 2]),
    "gray_gaussian": GaussianNoise(sigma=[1, 15], gray=1.0),
    "gray_poisson": PoissonNoise(photons=[200, 800], gray=1.0),
}


@pytest.mark.parametrize("level", [0.35, 0.65])
@pytest.mark.parametrize("name", NOISES)
def test_noise_has_the_drawn_strength_and_no_sample_has_anothers(name, level):
    x = torch.full((20, 3, 64, 64), level)
    kind = NOISES[name]
    stage = Noise(kinds=[kind])
    params = stage.sample(rows(20))
    noise = apply(stage, x, params) - x
    if "poisson" in name:
        expected = params["gain"] * (level / params["photons"]).sqrt()
    else:
        expected = params["sigma"] / 255 * (level if name == "speckle" else 1)
    torch.testing.assert_close(noise.std((1, 2, 3)), expected, rtol=0.08, atol=0)
    assert (noise.mean((1, 2, 3)) / expected).abs().max() < 0.06
    field = noise[:, 0].flatten(1)
    assert (torch.corrcoef(field) - torch.eye(20)).abs().max() < 0.09
    channels = torch.stack([torch.corrcoef(image.flatten(1))[0, 1] for image in noise])
    if name.startswith("gray"):
        assert channels.min() > 0.999
    else:
        assert channels.abs().max() < 0.06


def test_gray_noise_is_drawn_per_sample_and_poisson_follows_the_luma(photo):
    stage = Noise(kinds=[PoissonNoise(photons=[400, 400], gray=0.4)])
    params = stage.sample(rows(400))
    assert abs(params["gray"].float().mean() - 0.4) < 0.08
    x = (0.3 + 0.4 * photo[..., :32, :32].float() / 255).expand(400, -1, -1, -1)
    noise = apply(stage, x, params) - x
    same = (noise[:, 0] - noise[:, 2]).abs().amax((1, 2)) < 1e-5
    assert torch.equal(same, params["gray"])
    counts = (luma(x[:1])[0, 0] + noise[params["gray"]][:, 0]) * 400
    torch.testing.assert_close(counts, counts.round(), atol=2e-3, rtol=0)


def test_noise_stays_within_what_a_sensor_can_tell():
    """Half of the noise on black and white is cut off."""
    x = torch.cat([torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)])
    stage = Noise(kinds=[GaussianNoise(sigma=[20, 20])])
    noisy = apply(stage, x, stage.sample(rows(2)))
    assert (noisy.min(), noisy.max()) == (0, 1)
    expected = 20 / 255 / (2 * torch.pi) ** 0.5  # the mean of the positive half
    torch.testing.assert_close(
        (noisy - x).abs().mean((1, 2, 3)), torch.full((2,), expected), rtol=0.03, atol=0
    )


def test_correlated_noise_has_the_covariance_of_its_mixing():
    x = torch.full((6, 3, 128, 128), 0.5)
    stage = Noise(kinds=[CorrelatedNoise(sigma=[20, 20])])
    params = stage.sample(rows(6))
    noise = (apply(stage, x, params) - x).flatten(2).double() * 255
    for i in range(6):
        mixing = params["mixing"][i].double() * 20
        measured = torch.cov(noise[i])
        torch.testing.assert_close(measured, mixing @ mixing.T, rtol=0.05, atol=6.0)
        spread = torch.linalg.svdvals(params["mixing"][i])
        assert spread.max() < 1


def test_noise_of_several_kinds_in_one_batch():
    x = torch.full((64, 3, 16, 16), 0.5)
    stage = Noise(kinds=[GaussianNoise(sigma=[5, 5]), PoissonNoise(photons=[20, 20])])
    params = stage.sample(rows(64))
    counts = apply(stage, x, params) * 20
    is_whole = ((counts - counts.round()).abs() < 1e-4).all(dim=(1, 2, 3))
    assert torch.equal(is_whole, params["kind"] == 1)
    assert 0 < is_whole.sum() < 64


def test_jpeg_draws_quality_and_subsampling_per_sample(photo):
    x = (photo[..., :33, :31].float() / 255).expand(200, -1, -1, -1)
    stage = Jpeg(quality=[60, 95], subsamplings=["4:2:0", "4:4:4"])
    params = stage.sample(rows(200))
    assert params["quality"].min() >= 60
    assert params["quality"].max() <= 95
    assert len(set(params["quality"].tolist())) > 25
    coded = apply(stage, x, params)
    for index, subsampling in enumerate(stage.subsamplings):
        own = params["subsampling"] == index
        assert abs(own.float().mean() - 0.5) < 0.12
        expected = jpeg(x[own], params["quality"][own].float(), subsampling=subsampling)
        assert torch.equal(coded[own], expected)
    # The tensor codec of other devices gives libjpeg's picture, also at sizes of their own.
    sizes = torch.stack([torch.arange(200) % 29 + 5, torch.arange(200) % 27 + 5], 1)
    canvas = RaggedBatch(x.clone(), (33, 31), sizes, (5, 5))
    other = RaggedBatch(elsewhere(x), (33, 31), sizes, (5, 5))
    ours, theirs = stage.apply(canvas, params), stage.apply(other, params)
    for i, (h, w) in enumerate(sizes.tolist()):
        assert torch.equal(ours.pixels[i, :, :h, :w], here(theirs.pixels)[i, :, :h, :w])


def test_sharpening_spares_flat_regions(photo):
    x = photo[..., :80, :80].float() / 255
    sharp = apply(Sharpen(sigma=1.0, size=7, amount=1.0, threshold=2), x, {})
    assert sharp.var() > x.var()
    flat = torch.full((1, 3, 80, 80), 0.4)
    torch.testing.assert_close(apply(Sharpen(), flat, {}), flat)


def test_quantise_rounds_to_8_bits():
    x = torch.tensor([-0.2, 0.5001, 1.7]).view(1, 3, 1, 1)
    stage = Quantise()
    expected = torch.tensor([0.0, 128 / 255, 1.0])
    torch.testing.assert_close(apply(stage, x, stage.sample(rows(1))).flatten(), expected)


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
        (lambda: Jpeg(quality=[60, 95], subsamplings=["4:1:1"]), r"Jpeg.subsamplings=\['4:1:1'\]"),
        (lambda: Jpeg(quality=[60.5, 95]), r"Jpeg.quality=\[60.5, 95\]: expected whole"),
        (lambda: RandomApply(p=1.5, stages={}), "RandomApply.p"),
        (lambda: Blur(kernels=[]), "Blur.weights: there is nothing to choose from"),
        (lambda: Decimate(scale=2, kinds=[]), "Decimate.kinds: there is nothing"),
        (lambda: Sharpen(size=6), r"Sharpen.size=\[6\]: expected odd"),
        (lambda: Sharpen(sigma=0), "Sharpen.sigma"),
        (lambda: Resize(factors=[], kinds=["area"]), r"Resize.factors=\[\]"),
        (lambda: Resize(factors=[[1, 1]], kinds=["cubic"]), r"Resize.kinds=\['cubic'\].*bicubic"),
        (lambda: WebP(quality=[-1, 50]), r"WebP.quality=\[-1, 50\]"),
        (lambda: Blur(kernels=[BoxKernel(sizes=[3])], weights=[1, 1]), r"Blur.weights=\[1, 1\]"),
    ],
)
def test_impossible_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("stage", "size", "message"),
    [
        (Blur(kernels=[GaussianKernel(sizes=[21], sigma=[1, 1])]), 10, "10 pixels.*10x12.*patch"),
        (Sharpen(), 20, "Sharpen reaches 25 pixels.*20x24"),
        (Resize(factors=[[0.05, 1]], kinds=["area"]), 10, "leaves 0x0 pixels of 10x12"),
    ],
)
def test_images_that_are_too_small_are_named(stage, size, message):
    x = torch.rand(2, 3, size, size * 6 // 5)
    with pytest.raises(ValueError, match=message):
        apply(stage, x, stage.sample(rows(2)))


@pytest.mark.parametrize("stage", [Decimate(scale=2, kinds=["area"]), Bicubic(scale=2)])
def test_a_shrink_for_one_size_says_so(stage):
    resize = Resize(factors=[[0.5, 1]], kinds=["area"])
    canvas = resize.apply(RaggedBatch.of(torch.rand(2, 3, 32, 32)), resize.sample(rows(2)))
    with pytest.raises(ValueError, match="before every Resize"):
        stage.apply(canvas, stage.sample(rows(2)))

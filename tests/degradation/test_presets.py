import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from srlit.ops import jpeg as ops_jpeg
from srlit.ops import noise as ops_noise
from srlit.ops import resize as ops_resize
from srlit.ops import rng as ops_rng
from srlit.ops.jpeg import jpeg
from srlit.ops.resize import imresize
from srlit.ops.rng import make_keys
from tests.degradation.sampling import PRESETS, keys, preset
from tests.elsewhere import elsewhere, here
from tests.helpers import REPOSITORY

# Parameters of each preset that must differ between samples.
VARIES = {
    "blind": ["shrink.family", "shrink.sigma", "shrink.kind", "noise_and_jpeg.order"],
    "realesrgan": [
        "first.blur.family",
        "first.blur.support",
        "first.resize.factor",
        "first.resize.kind",
        "first.noise.kind",
        "first.noise.gray",
        "first.jpeg.quality",
        "second.blur.used",
        "second.resize.factor",
        "last.shuffled.order",
        "last.shuffled.resize_and_ring.ring.sinc.cutoff",
    ],
    "bsrgan": ["shuffled.order", "shuffled.blur.family", "shuffled.shrink.choice", "jpeg.quality"],
    "kornia": ["blur.sigma", "resize.kind", "jpeg.jpeg_quality"],
    "camera": ["blur.blur.blur.family", "sensor.photons.photons", "file.saved.subsampling"],
}


@pytest.fixture
def hr(photo):
    parts = [photo[..., 20 * i : 20 * i + 192, 30 * i : 30 * i + 192] for i in range(6)]
    return torch.cat(parts).float() / 255


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_documented(name):
    assert f"| `{name}` |" in (REPOSITORY / "docs" / "degradation.md").read_text()


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("name", PRESETS)
def test_presets_shrink_by_the_scale_and_end_in_8_bits(name, scale, hr):
    before = hr.clone()
    lr = preset(name, scale)(hr, keys(6))
    assert lr.shape == (6, 3, 192 // scale, 192 // scale)
    assert lr.min() >= 0
    assert lr.max() <= 1
    torch.testing.assert_close(lr * 255, (lr * 255).round(), atol=1e-4, rtol=0)
    assert torch.equal(hr, before)


@pytest.mark.parametrize("name", PRESETS)
def test_a_sample_is_the_same_alone_and_in_a_batch(name, hr):
    degradation, k = preset(name), keys(6)
    together = degradation(hr, k)
    for i in range(6):
        assert torch.equal(together[i : i + 1], degradation(hr[i : i + 1], k[i : i + 1]))
    assert torch.equal(degradation(hr[2:5].clone(), k[2:5]), together[2:5])


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", PRESETS)
def test_other_devices_give_the_same_8_bit_images(name, scale, hr):
    """Whole batches and the tensor codec against samples of their own size and libjpeg.

    In float64, as evaluations are.
    """
    degradation, k, exact = preset(name, scale), keys(6, seed=3), hr.double()
    ours = degradation(exact, k)
    theirs = here(degradation(elsewhere(exact), elsewhere(k)))
    levels = (ours - theirs).abs() * 255
    assert (levels > 0.5).float().mean() < 1e-3
    assert levels.max() < 1.5
    assert ours.dtype == torch.float32


@pytest.fixture
def no_cached_tables():
    """Tables are kept for each device; those of a fake one must not stay."""

    def clear():
        for module in (ops_jpeg, ops_noise, ops_resize, ops_rng):
            for function in vars(module).values():
                if hasattr(function, "cache_clear"):
                    function.cache_clear()

    clear()
    yield
    clear()


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "kornia"])
def test_nothing_waits_for_the_device(name, no_cached_tables):
    """On a fake GPU reading a value is an error."""
    degradation = preset(name, 4)
    with FakeTensorMode():
        hr = torch.empty(3, 3, 192, 256, device="cuda")
        lr = degradation(degradation.target(hr), torch.zeros(3, dtype=torch.long, device="cuda"))
        assert lr.shape == (3, 3, 48, 64)
        assert lr.device.type == "cuda"


@pytest.mark.parametrize("name", VARIES)
def test_every_choice_is_drawn_per_sample(name):
    draws = preset(name, 4).sample(keys(512))
    again = preset(name, 4).sample(keys(512))
    for parameter in VARIES[name]:
        value = draws[parameter]
        values = {str(row.tolist()) for row in value}
        assert len(values) >= 2, parameter
        # Hundreds of values of a range; each of a few choices more than once.
        if value.is_floating_point():
            assert len(values) > 100, parameter
        else:
            counts = torch.unique(value, dim=0, return_counts=True)[1]
            assert counts.min() >= 2 or len(counts) > 20, parameter
        torch.testing.assert_close(value, again[parameter], rtol=0, atol=0, equal_nan=True)
    for parameter, value in draws.items():
        if parameter.endswith("key"):
            assert len(set(value.tolist())) == 512


def test_blind_draws_experiment_as_ranges():
    draws = preset("blind").sample(keys(512))
    assert torch.bincount(draws["shrink.kind"]).min() > 140
    assert abs(draws["noise_and_jpeg.order"][:, 0].float().mean() - 0.5) < 0.08
    assert abs(draws["noise_and_jpeg.noise.kind"].float().mean() - 0.5) < 0.08
    assert abs(draws["noise_and_jpeg.jpeg.used"].float().mean() - 0.8) < 0.07
    sigma = draws["noise_and_jpeg.noise.sigma"]
    photons = draws["noise_and_jpeg.noise.photons"]
    assert torch.equal(sigma.isnan(), ~photons.isnan())
    assert 1 <= sigma.nan_to_num(nan=9).min() < 1.2
    assert 14.8 < sigma.nan_to_num(nan=9).max() <= 15
    assert 10 <= photons.nan_to_num(nan=30).min() < 11
    assert 59 < photons.nan_to_num(nan=30).max() <= 60
    quality = draws["noise_and_jpeg.jpeg.jpeg.quality"]
    assert (quality.min(), quality.max()) == (60, 95)


def test_realesrgan_draws_the_published_ranges():
    draws = preset("realesrgan", 4).sample(keys(8000))
    frequency = torch.bincount(draws["first.blur.family"], minlength=8) / 8000
    published = torch.tensor([0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.0375, 0.0625])
    torch.testing.assert_close(frequency, published, atol=0.015, rtol=0)
    for name, low, high in (
        ("first.blur.support", 7, 21),
        ("first.blur.sigma", 0.2, 3),
        ("first.blur.sigma_x", 0.2, 3),
        ("first.blur.beta", 0.5, 4),
        ("first.resize.factor", 0.15, 1.5),
        ("first.noise.sigma", 1, 30),
        ("first.noise.gain", 0.05, 3),
        ("first.jpeg.quality", 30, 95),
        ("second.blur.blur.sigma", 0.2, 1.5),
        ("second.resize.factor", 0.3, 1.2),
        ("second.noise.sigma", 1, 25),
        ("second.noise.gain", 0.05, 2.5),
        ("last.shuffled.jpeg.quality", 30, 95),
    ):
        value = draws[name].double()
        value = value[~value.isnan()]
        margin = 0.03 * (high - low)
        assert low - 1e-6 <= value.min() <= low + margin, name
        assert high - margin <= value.max() <= high + 1e-6, name
    for name, probability in (
        ("second.blur.used", 0.8),
        ("last.shuffled.resize_and_ring.ring.used", 0.8),
        ("first.noise.gray", 0.4),
    ):
        assert abs(draws[name].float().mean() - probability) < 0.02, name
    down = (draws["first.resize.factor"] < 1).float().mean()
    assert abs(down - 0.7) < 0.02


def test_the_target_of_realesrgan_is_sharpened_and_only_its(hr):
    assert torch.equal(preset("blind").target(hr), hr)
    sharpened = preset("realesrgan").target(hr)
    assert sharpened.var() > hr.var()
    assert sharpened.min() >= 0
    assert sharpened.max() <= 1


def test_fixed_is_the_reference_protocol(hr):
    """Only the noise field differs between photos, and without noise it is blur, area, JPEG 75."""
    degradation = preset("fixed")
    draws = degradation.sample(keys(6))
    assert (draws["jpeg.quality"] == 75).all()
    torch.testing.assert_close(draws["noise.sigma"], torch.full((6,), 10.0))
    silent = {**draws, "noise.sigma": torch.zeros(6)}
    t = torch.arange(-2.0, 3)
    taps = torch.exp(-t * t / 2)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    padded = torch.nn.functional.pad(hr, (2, 2, 2, 2), mode="replicate")
    blurred = torch.nn.functional.conv2d(padded, kernel.expand(3, 1, 5, 5), groups=3)
    expected = jpeg(torch.nn.functional.avg_pool2d(blurred, 2), torch.full((6,), 75.0))
    difference = (degradation.apply(hr, silent) - expected).abs() * 255
    # A float's last bit may turn a pixel's rounding before JPEG.
    assert (difference > 0.5).float().mean() < 0.01


def test_bsd100_under_fixed_has_the_known_bilinear_psnr(shared_data):
    """24.34 dB, measured with plain PyTorch."""
    from srlit.data.decode import read_photo
    from srlit.metrics.psnr import psnr
    from srlit.ops.resize import bilinear

    degradation, values = preset("fixed"), []
    for i, path in enumerate(sorted((shared_data / "bsd100").glob("*.png"))):
        pixels = read_photo(path)
        top, left = (pixels.shape[1] - 256) // 2, (pixels.shape[2] - 256) // 2
        x = pixels[None, :, top : top + 256, left : left + 256].float() / 255
        lr = degradation(x, make_keys(0, (), torch.tensor([i])))
        values.append(psnr(bilinear(lr, 2), x).item())
    assert len(values) == 100
    assert abs(sum(values) / 100 - 24.34) < 0.03


def test_bicubic_is_matlabs(hr):
    assert torch.equal(preset("bicubic", 3)(hr, keys(6)), imresize(hr, 1 / 3))

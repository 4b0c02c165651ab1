import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from srlit.ops import jpeg, noise, resize, rng
from tests.degradation.sampling import PRESETS, keys, preset
from tests.elsewhere import elsewhere, here

# Parameters with a range of one value; all others must differ between samples, unless they are
# indices with one name. `fixed` draws nothing but its noise field.
CONSTANT = {
    "bsrgan": {
        "shuffled.shrink.subsampled.blur.support",
        "shuffled.shrink.subsampled.subsample.factor",
        "shuffled.to_size.factor",
    },
    "camera": {"blur.shrink.factor", "sensor.photons.gain"},
    "fixed": {"shrink.sigma", "shrink.support", "noise.sigma", "jpeg.quality"},
    "realesrgan": {"last.shuffled.resize_and_ring.resize.factor"},
}


@pytest.fixture
def hr(photo):
    parts = [photo[..., 20 * i : 20 * i + 192, 30 * i : 30 * i + 192] for i in range(6)]
    return torch.cat(parts).float() / 255


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
    functions = [f for module in (jpeg, noise, resize, rng) for f in vars(module).values()]
    tables = [function for function in functions if hasattr(function, "cache_clear")]
    for table in tables:
        table.cache_clear()
    yield
    for table in tables:
        table.cache_clear()


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "kornia"])
def test_nothing_waits_for_the_device(name, no_cached_tables):
    """On a fake GPU reading a value is an error."""
    degradation = preset(name, 4)
    with FakeTensorMode():
        hr = torch.empty(3, 3, 192, 256, device="cuda")
        lr = degradation(degradation.target(hr), torch.zeros(3, dtype=torch.long, device="cuda"))
        assert lr.shape == (3, 3, 48, 64)
        assert lr.device.type == "cuda"


@pytest.mark.parametrize("name", PRESETS)
def test_every_choice_is_drawn_per_sample(name):
    degradation = preset(name, 4)
    draws, again = degradation.sample(keys(512)), degradation.sample(keys(512))
    names, constant = degradation.chain.names, CONSTANT.get(name, set())
    assert constant <= set(draws)
    for parameter, value in draws.items():
        torch.testing.assert_close(value, again[parameter], rtol=0, atol=0, equal_nan=True)
        counts = torch.unique(value, dim=0, return_counts=True)[1]
        if parameter.endswith("key"):
            assert len(counts) == 512
        elif parameter in constant or len(names.get(parameter, "two")) == 1:
            assert len(counts) == 1, parameter
        elif value.is_floating_point() and not parameter.endswith("batch_prob"):
            assert len(counts) > 50, parameter
        else:  # each of a few choices more than once
            assert len(counts) >= 2, parameter
            assert counts.min() >= 2 or len(counts) > 20, parameter


RANGES = {
    "blind": {
        "noise_and_jpeg.noise.sigma": (1, 15),
        "noise_and_jpeg.noise.photons": (10, 60),
        "noise_and_jpeg.jpeg.jpeg.quality": (60, 95),
    },
    "realesrgan": {
        "first.blur.support": (7, 21),
        "first.blur.sigma": (0.2, 3),
        "first.blur.sigma_x": (0.2, 3),
        "first.blur.beta": (0.5, 4),
        "first.resize.factor": (0.15, 1.5),
        "first.noise.sigma": (1, 30),
        "first.noise.gain": (0.05, 3),
        "first.jpeg.quality": (30, 95),
        "second.blur.blur.sigma": (0.2, 1.5),
        "second.resize.factor": (0.3, 1.2),
        "second.noise.sigma": (1, 25),
        "second.noise.gain": (0.05, 2.5),
        "last.shuffled.jpeg.quality": (30, 95),
    },
}
FREQUENCIES = {
    "blind": {
        "shrink.kind": [1 / 3] * 3,
        "noise_and_jpeg.noise.kind": [0.5, 0.5],
        "noise_and_jpeg.jpeg.used": [0.2, 0.8],
    },
    "realesrgan": {
        "first.blur.family": [0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.0375, 0.0625],
        "second.blur.used": [0.2, 0.8],
        "last.shuffled.resize_and_ring.ring.used": [0.2, 0.8],
        "first.noise.gray": [0.6, 0.4],
    },
}


@pytest.mark.parametrize("name", RANGES)
def test_the_published_ranges_and_frequencies_are_drawn(name):
    draws = preset(name, 4).sample(keys(8000))
    for parameter, (low, high) in RANGES[name].items():
        value = draws[parameter].double()
        value = value[~value.isnan()]
        margin = 0.03 * (high - low)
        assert low - 1e-6 <= value.min() <= low + margin, parameter
        assert high - margin <= value.max() <= high + 1e-6, parameter
    for parameter, published in FREQUENCIES[name].items():
        frequency = torch.bincount(draws[parameter].long()) / 8000
        torch.testing.assert_close(frequency, torch.tensor(published), atol=0.015, rtol=0)
    if name == "realesrgan":
        assert abs((draws["first.resize.factor"] < 1).float().mean() - 0.7) < 0.02


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
    expected = jpeg.jpeg(torch.nn.functional.avg_pool2d(blurred, 2), torch.full((6,), 75.0))
    difference = (degradation.apply(hr, silent) - expected).abs() * 255
    # A float's last bit may turn a pixel's rounding before JPEG.
    assert (difference > 0.5).float().mean() < 0.01


def test_bsd100_under_fixed_has_the_known_bilinear_psnr(shared_data):
    """24.34 dB, measured with plain PyTorch."""
    from srlit.data.decode import read_photo
    from srlit.metrics.psnr import psnr

    degradation, values = preset("fixed"), []
    for i, path in enumerate(sorted((shared_data / "bsd100").glob("*.png"))):
        pixels = read_photo(path)
        top, left = (pixels.shape[1] - 256) // 2, (pixels.shape[2] - 256) // 2
        x = pixels[None, :, top : top + 256, left : left + 256].float() / 255
        lr = degradation(x, rng.make_keys(0, (), torch.tensor([i])))
        values.append(psnr(resize.bilinear(lr, 2), x).item())
    assert len(values) == 100
    assert abs(sum(values) / 100 - 24.34) < 0.03

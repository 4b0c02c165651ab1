import json

import pytest
import torch

from srlit.config import build
from srlit.degradation import CoinFlip, Degradation, Jpeg, Quantise
from srlit.ops.jpeg import jpeg
from srlit.ops.resize import imresize
from srlit.ops.rng import make_keys
from tests.helpers import compose_config

PRESETS = ["blind", "fixed", "bicubic"]


def preset(name: str, scale: int = 2) -> Degradation:
    return build(compose_config("train", f"degradation={name}", f"scale={scale}").degradation)


def keys(n: int, seed: int = 0) -> torch.Tensor:
    return make_keys(seed, (), torch.arange(n))


@pytest.fixture
def hr(photo):
    parts = [photo[..., 20 * i : 20 * i + 96, 30 * i : 30 * i + 96] for i in range(6)]
    return torch.cat(parts).float() / 255


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("name", PRESETS)
def test_presets_shrink_by_the_scale_and_end_in_8_bits(name, scale, hr):
    lr = preset(name, scale)(hr, keys(6))
    assert lr.shape == (6, 3, 96 // scale, 96 // scale)
    assert lr.min() >= 0
    assert lr.max() <= 1
    torch.testing.assert_close(lr * 255, (lr * 255).round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", PRESETS)
def test_a_sample_is_the_same_alone_and_in_a_batch(name, hr):
    degradation, k = preset(name), keys(6)
    together = degradation(hr, k)
    for i in range(6):
        assert torch.equal(together[i : i + 1], degradation(hr[i : i + 1], k[i : i + 1]))


def test_draws_are_recorded_and_replayed_through_json(hr):
    degradation = preset("blind")
    draws = degradation.sample(keys(6))
    stored = json.loads(
        json.dumps({s: {k: v.tolist() for k, v in p.items()} for s, p in draws.items()})
    )
    replayed = {
        stage: {k: torch.tensor(v, dtype=draws[stage][k].dtype) for k, v in params.items()}
        for stage, params in stored.items()
    }
    assert torch.equal(degradation.apply(hr, draws), degradation.apply(hr, replayed))


def test_blind_draws_every_choice_per_sample():
    draws = preset("blind").sample(keys(512))
    assert len(set(draws["shrink"]["kind"].tolist())) == 3
    params = draws["noise_and_jpeg"]
    for coin in ("first_leads", "first.kind"):
        assert abs(params[coin].float().mean() - 0.5) < 0.08
    assert abs(params["second.used"].float().mean() - 0.8) < 0.07
    sigma, photons = params["first.strength"].unbind(1)
    assert 1 / 255 <= sigma.min() < 2 / 255
    assert 14 / 255 < sigma.max() <= 15 / 255
    assert 10 <= photons.min() < 12
    assert 58 < photons.max() <= 60
    assert len(set(params["first.key"].tolist())) == 512


def test_fixed_is_the_reference_protocol(hr):
    """Only the noise field differs between photos, and without noise it is blur, area, JPEG 75."""
    degradation = preset("fixed")
    draws = degradation.sample(keys(6))
    assert (draws["jpeg"]["quality"] == 75).all()
    assert draws["jpeg"]["used"].all()
    torch.testing.assert_close(draws["noise"]["strength"], torch.full((6, 1), 10 / 255))
    silent = {**draws, "noise": {**draws["noise"], "strength": torch.zeros(6, 1)}}
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
    """24.34 dB, measured with plain PyTorch beside the first design."""
    from srlit.data import read_photo
    from srlit.metrics import psnr
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


def test_coin_flip_applies_both_orders():
    class Add:
        shrink = 1

        def sample(self, rows):
            return {}

        def apply(self, x, params):
            return x + 0.25

    class Halve(Add):
        def apply(self, x, params):
            return x / 2

    flip = CoinFlip(first=Add(), second=Halve())
    result = flip.apply(torch.full((2, 3, 1, 1), 0.5), {"first_leads": torch.tensor([True, False])})
    assert result[:, 0, 0, 0].tolist() == [0.375, 0.5]


def test_mistakes_are_named(hr):
    with pytest.raises(ValueError, match="shrinks by 1, but scale=2"):
        Degradation(name="mine", scale=2, stages={"eight_bit": Quantise()})
    with pytest.raises(ValueError, match="'fixed': 96x95 pixels are no multiple of scale=2"):
        preset("fixed")(hr[..., :95], keys(6))
    with pytest.raises(ValueError, match="two stages that keep the size"):
        CoinFlip(first=preset("bicubic").stages["shrink"], second=Jpeg(quality=[1, 2]))


def test_autocast_changes_nothing(hr):
    degradation = preset("blind")
    plain = degradation(hr, keys(6))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(degradation(hr, keys(6)), plain)

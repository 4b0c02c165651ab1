import pytest
import torch

from srlit.degradation.noise_kinds import GaussianNoise, PoissonNoise
from srlit.degradation.stages.add_noise import Noise
from srlit.ops.colour import luma
from tests.degradation.sampling import apply, rows


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
    assert (noisy - x).abs().mean((1, 2, 3)).tolist() == pytest.approx([expected] * 2, rel=0.03)


def test_noise_of_several_kinds_in_one_batch():
    x = torch.full((64, 3, 16, 16), 0.5)
    stage = Noise(kinds=[GaussianNoise(sigma=[5, 5]), PoissonNoise(photons=[20, 20])])
    params = stage.sample(rows(64))
    counts = apply(stage, x, params) * 20
    is_whole = ((counts - counts.round()).abs() < 1e-4).all(dim=(1, 2, 3))
    assert torch.equal(is_whole, params["kind"] == 1)
    assert 0 < is_whole.sum() < 64

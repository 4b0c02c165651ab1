import pytest
import torch

from srlit.degradation.noise_kinds import CorrelatedNoise, GaussianNoise, PoissonNoise, SpeckleNoise
from srlit.degradation.stages.add_noise import Noise
from tests.degradation.sampling import apply, rows

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

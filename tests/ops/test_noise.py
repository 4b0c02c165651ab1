import pytest
import torch
from scipy import stats

from srlit.ops.noise import normal_noise, poisson_noise
from srlit.ops.rng import make_keys, pixel_field

BITS = pixel_field(make_keys(11, (), torch.arange(2)), (3, 512, 512))


def test_normal_noise_is_normal():
    z = normal_noise(BITS).double()
    assert abs(z.mean()) < 0.003
    assert abs(z.var() - 1) < 0.003
    assert abs((z**3).mean()) < 0.01
    assert abs((z**4).mean() - 3) < 0.03
    assert stats.kstest(z.flatten()[::7].numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 1.0, 3.9, 12.0, 40.0, 62.9, 63.1, 120.0, 250.0])
def test_mean_variance_and_skewness_are_poissons(rate):
    counts = poisson_noise(torch.full(BITS.shape, rate), BITS).double()
    deviation = counts - counts.mean()
    assert torch.equal(counts, counts.round())
    assert abs(counts.mean() - rate) < 0.001 + 0.001 * rate
    assert abs(counts.var() - rate) < 0.001 + 0.01 * rate
    # The third moment of 1.6 million draws is known to about 0.003 rate sqrt(rate).
    assert abs((deviation**3).mean() - rate) < 0.005 + 0.03 * rate * max(1.0, rate**0.5)


@pytest.mark.parametrize("rate", [0.3, 2.0, 30.0])
def test_counts_are_distributed_as_scipy_says(rate):
    counts = poisson_noise(torch.full(BITS.shape, rate), BITS).flatten()
    k = torch.arange(int(rate + 4 * rate**0.5) + 1)
    observed = torch.stack([(counts <= value).float().mean() for value in k])
    expected = torch.from_numpy(stats.poisson.cdf(k.numpy(), rate)).float()
    assert (observed - expected).abs().max() < 2e-3


def test_rates_may_differ_from_pixel_to_pixel():
    rate = torch.linspace(0, 130, BITS.numel()).view(BITS.shape)
    together = poisson_noise(rate, BITS)
    for low in (0.0, 50.0, 100.0):
        near = (rate >= low) & (rate < low + 5)
        assert abs((together[near] - rate[near]).mean()) < 0.1

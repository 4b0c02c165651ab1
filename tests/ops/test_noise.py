import pytest
import torch
from scipy import stats

from srlit.ops.noise import poisson_quantile
from srlit.ops.rng import make_keys, uniform_field

U = uniform_field(make_keys(11, (), torch.tensor([0])), (400_000,))[0]


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.7, 3.99, 4.01, 12.0, 60.0])
def test_mean_variance_and_skewness_are_poissons(rate):
    counts = poisson_quantile(torch.full_like(U, rate), U).double()
    assert abs(counts.mean() - rate) < 0.01 + 0.002 * rate
    assert abs(counts.var() - rate) < 0.01 + 0.01 * rate
    third = ((counts - counts.mean()) ** 3).mean()
    assert abs(third - rate) < 0.05 + 0.03 * rate * max(1.0, rate**0.5 / 2)


@pytest.mark.parametrize("rate", [0.3, 2.0, 5.0, 30.0])
def test_counts_are_scipys_quantiles(rate):
    u = U[:20_000]
    ours = poisson_quantile(torch.full_like(u, rate), u)
    reference = torch.from_numpy(stats.poisson.ppf(u.double().numpy(), rate)).float()
    assert (ours != reference).float().mean() < 2e-3
    assert (ours - reference).abs().max() <= 1

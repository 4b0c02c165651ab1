"""Weighted means of weights against hand-computed ones."""

import pytest
import torch

from srlit.evaluation.weight_interpolation import interpolate_weights


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_the_mean_is_exact_at_both_ends_and_between(alpha):
    torch.manual_seed(0)
    one, other = ({"w": torch.randn(5, 3), "n": torch.tensor(k)} for k in (3, 4))
    found = interpolate_weights([one, other], [1 - alpha, alpha])
    expected = (1 - alpha) * one["w"].double() + alpha * other["w"].double()
    assert torch.equal(found["w"], expected.float())
    assert found["n"] == 3  # integers are the first network's


@pytest.mark.parametrize(
    ("other", "alphas", "named"),
    [({"w": 0}, [0.5, 0.6], r"alphas=\[0.5, 0.6\]"), ({"v": 0}, [0.5, 0.5], "w .* v ")],
)
def test_wrong_alphas_and_different_networks_are_refused(other, alphas, named):
    states = [{name: torch.zeros(5, 3) for name in names} for names in ({"w": 0}, other)]
    with pytest.raises(ValueError, match=named):
        interpolate_weights(states, alphas)

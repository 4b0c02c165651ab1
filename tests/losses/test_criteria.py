import math

import pytest
import torch
from torch import tensor

from srlit.losses.criteria import (
    AdversarialCriterion,
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticAverage,
    Wasserstein,
)

REAL, FAKE = tensor([0.5, 2.0]), tensor([-0.5, 0.25])


def close(value, expected):
    return math.isclose(float(value), expected, rel_tol=1e-5)


def test_lsgan_by_hand():
    criterion = LeastSquares(real_label=0.9)
    real = ((0.5 - 0.9) ** 2 + (2 - 0.9) ** 2) / 2
    fake = (0.25 + 0.0625) / 2
    assert close(criterion.discriminator(REAL, FAKE), (real + fake) / 2)
    # The generator aims at 1, not at the smoothed label.
    assert close(criterion.generator(FAKE, None), (1.5**2 + 0.75**2) / 2)


def test_hinge_by_hand():
    criterion = Hinge()
    assert close(criterion.discriminator(REAL, FAKE), (0.5 + 0) / 2 + (0.5 + 1.25) / 2)
    assert close(criterion.generator(FAKE, None), 0.125)


def test_non_saturating_is_minus_log_d():
    criterion = NonSaturating()
    log_d = torch.sigmoid(REAL).log().mean()
    log_not_d = (1 - torch.sigmoid(FAKE)).log().mean()
    assert close(criterion.discriminator(REAL, FAKE), float(-log_d - log_not_d))
    assert close(criterion.generator(FAKE, None), float(-torch.sigmoid(FAKE).log().mean()))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_relativistic_average_by_hand():
    """E D(real) = 1.25, E D(fake) = -0.125."""
    criterion = RelativisticAverage()
    real = [sigmoid(0.5 + 0.125), sigmoid(2 + 0.125)]
    fake = [sigmoid(-0.5 - 1.25), sigmoid(0.25 - 1.25)]
    discriminator = -sum(map(math.log, real)) / 2 - sum(math.log(1 - p) for p in fake) / 2
    generator = -sum(math.log(1 - p) for p in real) / 2 - sum(map(math.log, fake)) / 2
    assert close(criterion.discriminator(REAL, FAKE), discriminator)
    assert close(criterion.generator(FAKE, REAL), generator)


def test_relativistic_losses_ignore_a_common_shift_and_need_real_logits():
    criterion = RelativisticAverage()
    shifted = criterion.discriminator(REAL + 5, FAKE + 5)
    torch.testing.assert_close(shifted, criterion.discriminator(REAL, FAKE))
    with pytest.raises(ValueError, match="real_logits=None"):
        criterion.generator(FAKE, None)


def test_wasserstein_by_hand():
    criterion = Wasserstein()
    assert close(criterion.discriminator(REAL, FAKE), -0.125 - 1.25)
    assert close(criterion.generator(FAKE, None), 0.125)


@pytest.mark.parametrize(
    "criterion", [LeastSquares(), NonSaturating(), Hinge(), RelativisticAverage(), Wasserstein()]
)
def test_gradients_have_the_right_signs(criterion):
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    criterion.discriminator(real, fake).backward()
    assert real.grad[0] < 0
    assert (fake.grad >= 0)[1]
    fake = FAKE.clone().requires_grad_()
    criterion.generator(fake, REAL if criterion.relativistic else None).backward()
    assert (fake.grad < 0).all()
    assert isinstance(criterion, AdversarialCriterion)


@pytest.mark.parametrize(
    "criterion",
    [
        LeastSquares(),
        NonSaturating(),
        NonSaturating(real_label=0.8),
        Hinge(),
        RelativisticAverage(),
    ],
)
def test_chance_is_the_minimum_loss_of_a_constant_logit(criterion):
    losses = [float(criterion.discriminator(c, c)) for c in torch.linspace(-3, 3, 6001)]
    assert min(losses) == pytest.approx(criterion.chance, abs=1e-5)


def test_label_smoothing_is_the_cross_entropy_to_the_label():
    real, fake = torch.tensor([0.3, -1.0]), torch.tensor([0.5, 2.0])
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = entropy(real, torch.full((2,), 0.8)) + entropy(fake, torch.zeros(2))
    torch.testing.assert_close(NonSaturating(real_label=0.8).discriminator(real, fake), expected)

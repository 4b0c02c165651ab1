import math

import pytest
import torch
from torch import tensor

from srlit.losses import Hinge, LeastSquares, NonSaturating

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


@pytest.mark.parametrize("kind", [LeastSquares, NonSaturating])
@pytest.mark.parametrize("label", [0, -0.5, 1.1, float("nan")])
def test_a_label_out_of_range_is_named(kind, label):
    with pytest.raises(ValueError, match=f"phase.criterion.real_label={label}: expected above 0"):
        kind(real_label=label)


@pytest.mark.parametrize("criterion", [LeastSquares(), NonSaturating(), Hinge()])
def test_the_game_pulls_in_the_right_directions(criterion):
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    criterion.discriminator(real, fake).backward()
    assert real.grad[0] < 0
    assert (fake.grad >= 0)[1]
    fake = FAKE.clone().requires_grad_()
    criterion.generator(fake, None).backward()
    assert (fake.grad < 0).all()

import pytest
import torch
from torch.nn import L1Loss, MSELoss

from srlit.losses.composite import CompositeLoss
from srlit.losses.schedules import LinearRamp

SR, HR = torch.rand(2, 3, 4, 4, requires_grad=True), torch.rand(2, 3, 4, 4)


def test_total_and_parts_add_up():
    loss = CompositeLoss(weights={"l1": 2.0, "l2": 0.5}, terms={"l1": L1Loss(), "l2": MSELoss()})
    parts = loss(SR, HR)
    torch.testing.assert_close(parts.total, 2 * L1Loss()(SR, HR) + 0.5 * MSELoss()(SR, HR))
    assert parts.raw.keys() == parts.weighted.keys() == {"l1", "l2"}
    torch.testing.assert_close(sum(parts.weighted.values()), parts.total.detach())
    assert not parts.raw["l1"].requires_grad
    assert set(parts.named()) == {"raw/l1", "raw/l2", "weighted/l1", "weighted/l2"}


def test_the_adversarial_part_is_handed_in():
    loss = CompositeLoss(weights={"l1": 1.0, "adversarial": 0.1}, terms={"l1": L1Loss()})
    assert loss.is_adversarial
    given = torch.tensor(3.0)
    torch.testing.assert_close(loss(SR, HR, given).total, L1Loss()(SR, HR) + 0.3)
    torch.testing.assert_close(loss(SR, HR).total, L1Loss()(SR, HR))


def test_a_weight_of_zero_saves_the_computation():
    class Costly(torch.nn.Module):
        def forward(self, sr, hr):
            raise AssertionError

    terms = {"l1": L1Loss(), "costly": Costly()}
    loss = CompositeLoss(weights={"l1": 1.0, "costly": 0.0}, terms=terms)
    assert set(loss(SR, HR).raw) == {"l1"}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"l1": 1, "lpip": 1}, "'lpip'"),
        ({}, "'l1'"),
        ({"l1": 0}, "loss.weights={'l1': 0.0} in the first iteration"),
        ({"l1": LinearRamp(begin=0, end=1, over=5), "adversarial": 1}, "in the first iteration"),
        ({"l1": LinearRamp(begin=1, end=0, over=5), "adversarial": 1}, "at the end"),
    ],
)
def test_mistakes_in_the_table_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        CompositeLoss(weights=weights, terms={"l1": L1Loss()})


class Sees(torch.nn.Module):
    """A term that looks at more than sr and hr."""

    def __init__(self, *names):
        super().__init__()
        self.needs = names

    def forward(self, sr, hr, **loss_inputs):
        assert set(loss_inputs) == set(self.needs)
        return sum(image.mean() for image in loss_inputs.values())


def test_a_term_gets_what_it_needs_and_nothing_else():
    terms = {"l1": L1Loss(), "lr": Sees("lr"), "both": Sees("lr", "ema_sr")}
    loss = CompositeLoss(weights={"l1": 1.0, "lr": 1.0, "both": 1.0}, terms=terms)
    loss_inputs = {"lr": torch.full((2, 3, 2, 2), 0.5), "ema_sr": torch.full((2, 3, 4, 4), 0.25)}
    raw = loss(SR, HR, loss_inputs=loss_inputs).raw
    assert (float(raw["lr"]), float(raw["both"])) == (0.5, 0.75)
    assert loss.needs(0) == {"lr", "ema_sr"}


def test_a_term_without_weight_needs_nothing():
    weights = {"l1": 1.0, "ramped": LinearRamp(begin=0.0, end=1.0, over=10)}
    loss = CompositeLoss(weights=weights, terms={"l1": L1Loss(), "ramped": Sees("ema_sr")})
    assert loss.needs(0) == set()
    assert loss.needs(1) == loss.needs(None) == {"ema_sr"}


def test_what_no_phase_has_is_named():
    with pytest.raises(ValueError, match=r"loss\.terms\.it needs depth: .* lr, ema_sr"):
        CompositeLoss(weights={"it": 1.0}, terms={"it": Sees("depth", "lr")})


def test_a_term_may_be_called_like_a_method_of_modules():
    loss = CompositeLoss(weights={"half": 1.0, "to": 0.5}, terms={"half": L1Loss(), "to": L1Loss()})
    assert set(loss(SR, HR).raw) == {"half", "to"}
    assert len(next(iter(loss.children()))) == 2

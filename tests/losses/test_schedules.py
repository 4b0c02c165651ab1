"""Weight schedules, compared with values computed by hand."""

import pytest
import torch
from torch.nn import L1Loss, MSELoss

from srlit.losses.composite import CompositeLoss
from srlit.losses.schedules import CosineRamp, LinearRamp


def test_a_linear_ramp():
    ramp = LinearRamp(begin=0.0, end=0.4, after=10, over=20)
    assert [ramp(i) for i in (0, 10, 15, 20, 30, 99)] == pytest.approx([0, 0, 0.1, 0.2, 0.4, 0.4])


def test_a_cosine_ramp_is_slow_at_both_ends():
    ramp = CosineRamp(begin=1.0, end=0.0, over=4)
    assert [ramp(i) for i in range(6)] == pytest.approx([1, 0.8535534, 0.5, 0.1464466, 0, 0])


def test_a_table_follows_its_schedules_and_validation_takes_the_end():
    table = CompositeLoss(
        weights={"l1": 2.0, "l2": LinearRamp(begin=0.0, end=1.0, over=10)},
        terms={"l1": L1Loss(), "l2": MSELoss()},
    )
    sr, hr = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 3, 4, 4)
    assert float(table(sr, hr, iteration=0).total) == pytest.approx(1.0)
    assert "l2" not in table(sr, hr, iteration=0).raw  # not computed while it weighs nothing
    assert float(table(sr, hr, iteration=5).total) == pytest.approx(1.0 + 0.5 * 0.25)
    assert float(table(sr, hr).total) == pytest.approx(1.0 + 0.25)


def test_an_iteration_between_two_ramps_without_any_weight_is_named():
    ramps = {
        "l1": LinearRamp(begin=1, end=0, over=5),
        "l2": LinearRamp(begin=0, end=1, over=5, after=10),
    }
    table = CompositeLoss(weights=ramps, terms={"l1": L1Loss(), "l2": MSELoss()})
    sr, hr = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    assert set(table(sr, hr, iteration=4).raw) == {"l1"}
    assert set(table(sr, hr, iteration=11).raw) == {"l2"}
    with pytest.raises(ValueError, match=r"loss\.weights=.*iteration 7"):
        table(sr, hr, iteration=7)

"""Weights that change: their values by hand."""

import pytest
import torch

from srlit.losses import L1, L2, CompositeLoss, CosineRamp, LinearRamp


def test_a_linear_ramp():
    ramp = LinearRamp(begin=0.0, end=0.4, after=10, over=20)
    assert [ramp(i) for i in (0, 10, 15, 20, 30, 99)] == pytest.approx([0, 0, 0.1, 0.2, 0.4, 0.4])


def test_a_cosine_ramp_is_slow_at_both_ends():
    ramp = CosineRamp(begin=1.0, end=0.0, over=4)
    assert [ramp(i) for i in range(6)] == pytest.approx([1, 0.8535534, 0.5, 0.1464466, 0, 0])


@pytest.mark.parametrize("wrong", [{"over": 0}, {"over": 5, "after": -1}])
def test_a_ramp_out_of_range(wrong):
    with pytest.raises(ValueError, match="expected at least 1 and 0"):
        LinearRamp(begin=0, end=1, **wrong)


def test_a_table_follows_its_schedules_and_validation_takes_the_end():
    table = CompositeLoss(
        weights={"l1": 2.0, "l2": LinearRamp(begin=0.0, end=1.0, over=10)},
        terms={"l1": L1(), "l2": L2()},
    )
    sr, hr = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 3, 4, 4)
    assert float(table(sr, hr, iteration=0).total) == pytest.approx(1.0)
    assert "l2" not in table(sr, hr, iteration=0).raw  # not computed while it weighs nothing
    assert float(table(sr, hr, iteration=5).total) == pytest.approx(1.0 + 0.5 * 0.25)
    assert float(table(sr, hr).total) == pytest.approx(1.0 + 0.25)


def test_a_ramp_below_zero_is_refused():
    ramp = LinearRamp(begin=1.0, end=-1.0, over=3)
    with pytest.raises(ValueError, match=r"must not be negative: got \{'l1': -1.0\}"):
        CompositeLoss(weights={"l1": ramp}, terms={"l1": L1()})

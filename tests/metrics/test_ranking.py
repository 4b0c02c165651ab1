"""Minimum values that follow the best candidate."""

import math

import pytest

from srlit.metrics.ranking import SelectionRule

ROWS = [
    {"lpips_alex": 0.18, "psnr_rgb_b0": 23.0, "id": 0},
    {"lpips_alex": 0.25, "psnr_rgb_b0": 25.0, "id": 1},
    {"lpips_alex": 0.22, "psnr_rgb_b0": 24.5, "id": 2},
    {"lpips_alex": 0.20, "psnr_rgb_b0": 23.9, "id": 3},
]


def ranked(rows=ROWS, **rule):
    return [row["id"] for row in SelectionRule(**rule).rank(rows)]


NAN = {"lpips_alex": math.nan, "psnr_rgb_b0": 26.0, "id": 9}


@pytest.mark.parametrize(
    ("metric", "minimum", "order"),
    [
        ("lpips_alex", {}, [0, 3, 2, 1, 9]),
        ("psnr_rgb_b0", {}, [9, 1, 2, 3, 0]),
        ("lpips_alex", {"psnr_rgb_b0": 24.0}, [2, 1, 0, 3, 9]),
        ("psnr_rgb_b0", {"lpips_alex": 0.21}, [3, 0, 9, 1, 2]),
    ],
)
def test_those_below_a_minimum_come_after_all_others(metric, minimum, order):
    assert ranked([*ROWS, NAN], metric=metric, minimum=minimum) == order


def test_tolerance_keeps_out_what_lies_too_far_below_the_best():
    for psnr, order in ((1.0, [2, 1, 0, 3]), (1.1, [3, 2, 1, 0]), (2.0, [0, 3, 2, 1])):
        assert ranked(metric="lpips_alex", tolerance={"psnr_rgb_b0": psnr}) == order
    assert ranked(metric="psnr_rgb_b0", tolerance={"lpips_alex": 0.04}) == [2, 3, 0, 1]


def test_the_stricter_of_minimum_and_tolerance_holds():
    for minimum, tolerance in ((24.2, 2.0), (20.0, 0.8)):
        rule = {"minimum": {"psnr_rgb_b0": minimum}, "tolerance": {"psnr_rgb_b0": tolerance}}
        assert ranked(metric="lpips_alex", **rule)[:2] == [2, 1]


def test_adding_to_every_candidate_changes_no_ranking():
    """Unlike a minimum, tolerance does not know how hard the photos are."""
    harder = [row | {"psnr_rgb_b0": row["psnr_rgb_b0"] - 10} for row in ROWS]
    rule = {"metric": "lpips_alex", "tolerance": {"psnr_rgb_b0": 1.0}}
    assert ranked(harder, **rule) == ranked(**rule)


def test_a_candidate_that_could_not_be_measured_sets_no_standard():
    rows = [*ROWS, NAN | {"psnr_rgb_b0": 40.0}]
    assert ranked(rows, metric="lpips_alex", tolerance={"psnr_rgb_b0": 1.0}) == [2, 1, 0, 3, 9]


def test_candidates_that_are_gone_still_set_the_standard():
    rule = SelectionRule(metric="lpips_alex", tolerance={"psnr_rgb_b0": 1.0})
    resolved = rule.among([*ROWS, {"lpips_alex": 0.3, "psnr_rgb_b0": 25.4}])
    assert resolved.minimum == {"psnr_rgb_b0": pytest.approx(24.4)}
    assert resolved.admits(ROWS[2])
    assert not resolved.admits(ROWS[3])
    assert rule.minimum == {}  # the rule itself stays


def test_null_takes_a_default_out():
    """`callbacks.lpips_checkpoint.tolerance.lowfreq_mae_s8=null` on the command line."""
    tolerance = {"psnr_rgb_b0": 1.0, "lowfreq_mae_s8": None}
    rule = SelectionRule(metric="lpips_alex", tolerance=tolerance)
    assert rule.names == {"lpips_alex", "psnr_rgb_b0"}


def test_names_follow_what_was_measured():
    rule = SelectionRule(metric="lpips_alex", tolerance={"psnr_rgb_b0": 1.0})
    named = rule.named_as(["lpips_alex_untrained", "psnr_rgb_b0"])
    assert named.names == {"lpips_alex_untrained", "psnr_rgb_b0"}
    assert named.describe().startswith("lowest lpips_alex_untrained with psnr_rgb_b0 at most 1 ")


def test_tolerance_of_what_is_not_measured_is_left_out_and_told(caplog):
    tolerance = {"psnr_rgb_b0": 1.0, "lowfreq_mae_s8": 0.004}
    rule = SelectionRule(metric="lpips_alex", tolerance=tolerance)
    rule = rule.where_measured(["lpips_alex", "lowfreq_mae_s8"])
    assert rule.tolerance == {"lowfreq_mae_s8": 0.004}
    assert "tolerance of psnr_rgb_b0 is left out" in caplog.text


def test_unknown_metrics_are_named():
    with pytest.raises(ValueError, match="'sharpness'"):
        SelectionRule(metric="lpips_alex", tolerance={"sharpness": 1.0})


def test_tolerance_of_what_decides_says_nothing():
    rule = SelectionRule(metric="psnr_rgb_b0", tolerance={"psnr_rgb_b0": 1.0})
    assert rule.describe() == "highest psnr_rgb_b0"

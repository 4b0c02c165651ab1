"""Floors that follow the best candidate."""

import math

import pytest

from srlit.metrics import SelectionRule

ROWS = [
    {"lpips_alex": 0.18, "psnr_rgb_b0": 23.0, "id": 0},
    {"lpips_alex": 0.25, "psnr_rgb_b0": 25.0, "id": 1},
    {"lpips_alex": 0.22, "psnr_rgb_b0": 24.5, "id": 2},
    {"lpips_alex": 0.20, "psnr_rgb_b0": 23.9, "id": 3},
]


def ranked(rows=ROWS, **rule):
    return [row["id"] for row in SelectionRule(**rule).rank(rows)]


def test_slack_keeps_out_what_lies_too_far_below_the_best():
    assert ranked(metric="lpips_alex") == [0, 3, 2, 1]
    assert ranked(metric="lpips_alex", slack={"psnr_rgb_b0": 1.0}) == [2, 1, 0, 3]
    assert ranked(metric="lpips_alex", slack={"psnr_rgb_b0": 1.1}) == [3, 2, 1, 0]
    assert ranked(metric="lpips_alex", slack={"psnr_rgb_b0": 2.0}) == ranked(metric="lpips_alex")
    assert ranked(metric="psnr_rgb_b0", slack={"lpips_alex": 0.04}) == [2, 3, 0, 1]


def test_the_stricter_of_floor_and_slack_holds():
    for floor, slack in ((24.2, 2.0), (20.0, 0.8)):
        rule = {"floors": {"psnr_rgb_b0": floor}, "slack": {"psnr_rgb_b0": slack}}
        assert ranked(metric="lpips_alex", **rule)[:2] == [2, 1]


def test_adding_to_every_candidate_changes_no_ranking():
    """Unlike a floor, slack does not know how hard the photos are."""
    harder = [row | {"psnr_rgb_b0": row["psnr_rgb_b0"] - 10} for row in ROWS]
    slack = {"slack": {"psnr_rgb_b0": 1.0}}
    assert ranked(harder, metric="lpips_alex", **slack) == ranked(metric="lpips_alex", **slack)


def test_a_candidate_that_could_not_be_measured_sets_no_standard():
    broken = {"lpips_alex": math.nan, "psnr_rgb_b0": 40.0, "id": 9}
    slack = {"slack": {"psnr_rgb_b0": 1.0}}
    assert ranked([*ROWS, broken], metric="lpips_alex", **slack) == [2, 1, 0, 3, 9]


def test_candidates_that_are_gone_still_set_the_standard():
    rule = SelectionRule(metric="lpips_alex", slack={"psnr_rgb_b0": 1.0})
    judge = rule.among([*ROWS, {"lpips_alex": 0.3, "psnr_rgb_b0": 25.4}])
    assert judge.floors == {"psnr_rgb_b0": pytest.approx(24.4)}
    assert judge.admits(ROWS[2])
    assert not judge.admits(ROWS[3])
    assert rule.floors == {}  # the rule itself stays


def test_null_takes_a_default_out():
    """`callbacks.lpips_checkpoint.slack.lowfreq_mae_s8=null` on the command line."""
    rule = SelectionRule(metric="lpips_alex", slack={"psnr_rgb_b0": 1.0, "lowfreq_mae_s8": None})
    assert rule.names == {"lpips_alex", "psnr_rgb_b0"}


def test_names_follow_what_was_measured():
    rule = SelectionRule(metric="lpips_alex", slack={"psnr_rgb_b0": 1.0})
    named = rule.named_as(["lpips_alex_untrained", "psnr_rgb_b0"])
    assert named.names == {"lpips_alex_untrained", "psnr_rgb_b0"}
    assert named.describe() == (
        "lowest lpips_alex_untrained with psnr_rgb_b0 at most 1 worse than the best"
    )


def test_slack_of_what_is_not_measured_is_left_out_and_told(caplog):
    slack = {"psnr_rgb_b0": 1.0, "lowfreq_mae_s8": 0.004}
    rule = SelectionRule(metric="lpips_alex", slack=slack).where_measured(
        ["lpips_alex", "lowfreq_mae_s8"]
    )
    assert rule.slack == {"lowfreq_mae_s8": 0.004}
    assert "slack of psnr_rgb_b0 is left out" in caplog.text


@pytest.mark.parametrize("slack", [{"psnr_rgb_b0": -1.0}, {"psnr_rgb_b0": math.nan}])
def test_slack_is_a_distance(slack):
    with pytest.raises(ValueError, match=r"slack\.psnr_rgb_b0=.*at least 0"):
        SelectionRule(metric="lpips_alex", slack=slack)
    with pytest.raises(ValueError, match="'sharpness'"):
        SelectionRule(metric="lpips_alex", slack={"sharpness": 1.0})


def test_slack_of_what_decides_says_nothing():
    rule = SelectionRule(metric="psnr_rgb_b0", slack={"psnr_rgb_b0": 1.0})
    assert rule.describe() == "highest psnr_rgb_b0"

"""Intervals and tests against hand-computed values, other methods, and what they promise."""

import math

import numpy as np
import pytest
from scipy import stats

from srlit.evaluation.measure import Results
from srlit.evaluation.statistics import confidence_interval, holm, paired_p
from srlit.evaluation.summary import Summary


def test_the_interval_of_a_normal_sample_is_students():
    sample = np.random.default_rng(0).normal(25, 3, 100)
    low, high = confidence_interval(sample.tolist())
    expected = stats.t.interval(0.95, 99, sample.mean(), stats.sem(sample))
    assert (low, high) == pytest.approx(expected, abs=0.1)
    assert confidence_interval(sample.tolist()) == (low, high)


def test_the_interval_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = confidence_interval(rng.gamma(2.0, 1.0, 40).tolist())  # mean 2, skewed
        held += low <= 2 <= high
    assert 0.89 <= held / 200 <= 0.99


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [1.0, math.inf, 2.0]])
def test_what_too_few_or_infinite_values_cannot_tell_is_nan(values):
    assert all(math.isnan(end) for end in confidence_interval(values))


def test_equal_values_leave_no_doubt():
    assert confidence_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_the_smallest_p_of_n_photos_is_two_in_two_to_the_n():
    """All signs equal: one of 2^n equally likely sign patterns, and its mirror image."""
    for n in (4, 6, 10):
        values = [1.0 + 0.1 * i for i in range(n)]
        assert paired_p(values, [0.0] * n) == pytest.approx(2 / 2**n)


def test_p_does_not_hang_on_the_order_of_photos_or_methods():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0, 1, 30), rng.normal(0.3, 1, 30)
    p = paired_p(one.tolist(), other.tolist())
    assert paired_p(other.tolist(), one.tolist()) == pytest.approx(p)
    order = rng.permutation(30)
    assert paired_p(one[order].tolist(), other[order].tolist()) == pytest.approx(p)
    assert 0 < p < 1


def test_no_difference_is_none_whatever_the_values():
    assert paired_p([math.inf, 3.0], [math.inf, 3.0]) == 1.0
    assert math.isnan(paired_p([math.nan, 3.0], [1.0, 3.0]))


def test_equal_methods_are_called_different_as_seldom_as_p_says():
    rng = np.random.default_rng(2)
    found = [paired_p(*rng.normal(0, 1, (2, 25)).tolist()) < 0.05 for _ in range(400)]
    assert 0.02 <= np.mean(found) <= 0.08


def test_holms_correction_by_hand():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan, "e": 0.9})
    expected = {"a": 0.04, "c": 0.09, "b": 0.09, "e": 0.9}
    assert {k: v for k, v in adjusted.items() if k != "d"} == pytest.approx(expected)
    assert math.isnan(adjusted["d"])
    assert holm({}) == {}


# -- the summary of an evaluation -----------------------------------------------------------------


@pytest.fixture
def summary():
    """Thirty photos: `good` is better than `plain` on each, `other` as often worse as better."""
    plain = [20 + 0.1 * i for i in range(30)]
    own = {
        "plain": plain,
        "good": [v + 1 + 0.01 * i for i, v in enumerate(plain)],
        "other": [v + 0.5 * (-1) ** i for i, v in enumerate(plain)],
    }
    rows = [
        {"name": name, "photo": f"{i}.png", "psnr_rgb_b0": value}
        for name, values in own.items()
        for i, value in enumerate(values)
    ]
    means = [{"name": name, "psnr_rgb_b0": float(np.mean(v))} for name, v in own.items()]
    return Summary("bsd100", "fixed", "test", Results(means, rows, []), "plain")


def test_only_what_differs_is_marked(summary):
    assert summary.significant == {("good", "psnr_rgb_b0")}
    assert summary.title == "bsd100, 30 test photos, under fixed"
    assert "differs from plain" in summary.note


def test_every_number_of_the_summary(summary):
    plain, good, _ = summary.statistics
    assert plain["low"] < plain["mean"] < plain["high"]
    assert "p" not in plain
    assert good["difference"] == pytest.approx(1 + 0.01 * 14.5)
    # The same photos: the difference is known far better than the means.
    assert good["high"] - good["low"] > 10 * (good["difference_high"] - good["difference_low"])
    assert good["p"] < 1e-4
    assert summary.rows()[1]["data"] == "bsd100"
    assert summary.photo_rows()[0]["degradation"] == "fixed"


def test_two_photos_prove_nothing_and_leave_no_nan():
    rows = [
        {"name": name, "photo": str(i), "mae": 0.1 * i + shift}
        for name, shift in (("a", 0.0), ("b", 0.5))
        for i in range(2)
    ]
    means = [{"name": "a", "mae": 0.05}, {"name": "b", "mae": 0.55}]
    summary = Summary("x", "real", "val", Results(means, rows, []), "a")
    assert summary.significant == set()
    assert summary.title == "x, 2 val photos, real pairs"
    for row in summary.statistics:
        assert not any(isinstance(v, float) and math.isnan(v) for v in row.values())

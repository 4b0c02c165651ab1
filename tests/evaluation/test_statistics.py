"""Confidence intervals and tests against known values, other methods, and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from srlit.evaluation.statistics import confidence_interval, holm, paired_p


def test_a_normal_sample_has_students_interval():
    sample = np.random.default_rng(0).normal(25, 3, 100)
    low, high = confidence_interval(sample.tolist())
    expected = stats.t.interval(0.95, 99, sample.mean(), stats.sem(sample))
    assert (low, high) == pytest.approx(expected, abs=0.1)
    assert confidence_interval(sample.tolist()) == (low, high)
    assert confidence_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_the_interval_contains_the_true_mean_at_its_level():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = confidence_interval(rng.gamma(2.0, 1.0, 40).tolist())  # mean 2, skewed
        held += low <= 2 <= high
    assert 0.89 <= held / 200 <= 0.99


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [1.0, math.inf, 2.0]])
def test_too_few_or_infinite_values_have_no_interval(values):
    assert all(math.isnan(end) for end in confidence_interval(values))


def test_the_smallest_p_of_n_photos_is_two_in_two_to_the_n():
    """All signs equal: one of 2^n equally likely sign patterns, and its mirror image."""
    for n in (4, 6, 10):
        values = [1.0 + 0.1 * i for i in range(n)]
        assert paired_p(values, [0.0] * n) == pytest.approx(2 / 2**n)


def test_p_does_not_depend_on_the_order_of_photos_or_methods():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0, 1, 30), rng.normal(0.3, 1, 30)
    p = paired_p(one.tolist(), other.tolist())
    assert paired_p(other.tolist(), one.tolist()) == pytest.approx(p)
    order = rng.permutation(30)
    assert paired_p(one[order].tolist(), other[order].tolist()) == pytest.approx(p)
    assert 0 < p < 1


def test_equal_values_do_not_differ_and_nan_gives_nan():
    assert paired_p([math.inf, 3.0], [math.inf, 3.0]) == 1.0
    assert math.isnan(paired_p([math.nan, 3.0], [1.0, 3.0]))


def test_equal_methods_differ_significantly_as_rarely_as_p_says():
    rng = np.random.default_rng(2)
    found = [paired_p(*rng.normal(0, 1, (2, 25)).tolist()) < 0.05 for _ in range(400)]
    assert 0.02 <= np.mean(found) <= 0.08


def test_holms_correction():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan, "e": 0.9})
    expected = {"a": 0.04, "c": 0.09, "b": 0.09, "e": 0.9}
    assert {k: v for k, v in adjusted.items() if k != "d"} == pytest.approx(expected)
    assert math.isnan(adjusted["d"])
    assert holm({}) == {}

import math

import pytest

from srlit.reports.axis import MINUS, Axis, fit, linear_ticks, short


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3.3, 7.1), (1e-5, 3e-5), (24.1, 24.2), (0, 9e6)]
)
def test_ticks_are_round_evenly_spaced_and_inside(low, high):
    ticks = linear_ticks(low, high, 4)
    assert 2 <= len(ticks) <= 6
    step = ticks[1] - ticks[0]
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert any(mantissa == pytest.approx(m) for m in (1, 2, 5))
    assert all(low - 1e-9 * step <= t <= high + 1e-9 * step for t in ticks)
    assert all(t / step == pytest.approx(round(t / step), abs=1e-6) for t in ticks)


@pytest.mark.parametrize(("low", "high"), [(26.24, 26.35), (0.688, 0.6895), (0.0, 1e-4), (0, 240)])
def test_numbers_of_an_axis_differ_and_say_the_value(low, high):
    axis = Axis(low, high, 0, 100)
    texts = [text for _, text in axis.labels()]
    assert len(set(texts)) == len(texts) >= 2
    for place, text in axis.labels():
        assert axis.place(float(text)) == pytest.approx(place, abs=0.1)


@pytest.mark.parametrize(("low", "log"), [(0.01, True), (0.5, False), (0.0, False)])
def test_a_logarithm_is_taken_where_values_span_enough_and_are_positive(low, log):
    assert fit([low, 1], 0, 1, log=None).log == log


def test_equal_ratios_are_equal_distances_on_a_logarithmic_axis():
    axis = Axis(0.001, 10, 0, 400, log=True)
    places = [axis.place(10.0**p) for p in range(-3, 2)]
    assert places == pytest.approx([0, 100, 200, 300, 400])
    assert math.isnan(axis.place(0.0))
    assert len(axis.ticks(4)) >= 3


def test_no_axis_without_a_finite_value_and_one_for_a_constant():
    assert fit([math.nan, math.inf], 0, 1) is None
    axis = fit([3.0, math.nan, 3.0], 0, 10)
    assert axis.place(3.0) == pytest.approx(5)


SHORT = {
    0.0: "0", 12345: "12.35k", 2_500_000: "2.5M", 3e-5: "3e-5", -1.5e-7: f"{MINUS}1.5e-7",
    0.03125: "0.03125", -2: f"{MINUS}2", math.nan: "NaN", -math.inf: f"{MINUS}∞",
}  # fmt: skip


@pytest.mark.parametrize("value", SHORT)
def test_numbers_in_few_characters(value):
    assert short(value) == SHORT[value]

import math
import random
import re

import numpy as np
import pytest

from srlit.reports.curves import Chart, Curve, draw, running_mean, thin
from srlit.reports.run_folders import Column

NAN, INF = math.nan, math.inf


def drawn(*values, **options):
    column = Column([float(10 * (i + 1)) for i in range(len(values))], list(values))
    return draw(Chart("t", [Curve("c", column, mark=options.pop("mark", None))], **options))


def places(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)]


def test_a_curve_breaks_where_a_value_is_not_finite():
    drawing = drawn(1.0, 2.0, NAN, 3.0, INF, 2.0, 1.0)
    path = drawing.strokes[0].path
    assert path.count("M") == 3
    assert len(places(path)) == 5
    assert path.count("h0") == 1  # the lone third value is a dot
    assert len(drawing.gaps) == 2
    assert "2 values not finite" in drawing.summary()


def test_higher_values_lie_higher_and_later_ones_further_right():
    (a, b, c) = places(drawn(1.0, 3.0, 2.0).strokes[0].path)
    assert a[0] < b[0] < c[0]
    assert b[1] < c[1] < a[1]


def test_the_selected_checkpoint_is_marked_at_its_value():
    drawing = drawn(5.0, 4.0, 3.5, 4.5, mark=30.0, lines=[30.0])
    assert drawing.strokes[0].mark == (*places(drawing.strokes[0].path)[2], "3.5")
    assert drawing.lines == [drawing.strokes[0].mark[0]]


@pytest.mark.parametrize("mark", [35.0, 20.0])
def test_nothing_is_marked_where_nothing_finite_was_logged(mark):
    assert drawn(5.0, NAN, 3.5, mark=mark).strokes[0].mark is None


def test_nothing_finite_is_no_chart():
    assert drawn(NAN, INF) is None
    assert draw(Chart("t", [])) is None


def test_thinning_keeps_the_ends_the_extremes_and_the_gaps():
    random.seed(0)
    values = [random.random() for _ in range(5000)]
    values[1234], values[2345], values[3456] = 9.0, -9.0, NAN
    column = thin(Column([float(i) for i in range(5000)], values), 300)
    assert len(column.x) <= 300
    assert (column.x[0], column.x[-1]) == (0, 4999)
    kept = dict(column.pairs())
    assert (kept[1234], kept[2345]) == (9.0, -9.0)
    assert math.isnan(kept[3456])
    assert column.x == sorted(column.x)


def test_the_running_mean_is_numpys_and_no_gap_is_filled():
    values = np.random.default_rng(0).normal(size=50)
    means = running_mean(Column([*range(50)], values.tolist()), 3).y
    assert means[3:-3] == pytest.approx(np.convolve(values, np.ones(7) / 7, "valid"))
    assert (means[0], means[-1]) == pytest.approx((values[0], values[-1]))
    values[20] = NAN
    means = running_mean(Column([*range(50)], values.tolist()), 3).y
    assert math.isnan(means[20])
    assert means[21] == pytest.approx(np.nanmean(values[18:25]))


def test_an_exploded_value_reaches_its_neighbours_only():
    values = [1e-3] * 50
    values[10] = 1e30
    means = running_mean(Column([*map(float, range(50))], values), 3).y
    assert means[14:] == pytest.approx([1e-3] * 36)
    assert means[12] > 1e29


def test_thinning_neither_loses_the_mark_nor_bends_the_mean():
    # Mostly 0 with rare spikes: of the extremes alone the mean would be far too high.
    values = [float(i % 50 == 0) for i in range(5000)]
    drawing = drawn(*values, mark=50 * 10.0 + 20)
    assert drawing.strokes[0].mark[2] == "0"
    zero, one = (y for y, text in drawing.y.labels() if text in ("0.0", "1.0", "0", "1"))
    share = [(zero - y) / (zero - one) for _, y in places(drawing.strokes[0].path)]
    assert np.mean(share[20:-20]) == pytest.approx(0.02, abs=0.005)


def test_noisy_curves_are_drawn_twice():
    stroke = drawn(*(math.sin(9 * i) for i in range(100))).strokes[0]
    spread = [np.ptp([y for _, y in places(path)]) for path in (stroke.path, stroke.faint)]
    assert spread[0] < 0.7 * spread[1]
    assert drawn(1.0, 2.0).strokes[0].faint == ""


def test_the_tooltip_reads_the_values():
    data = drawn(1.0, NAN, 0.123456789).data()
    assert data["curves"][0]["points"] == [(10.0, 1.0), (20.0, None), (30.0, 0.12346)]

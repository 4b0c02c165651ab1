"""Charts of curves: values in, SVG coordinates out, so that the template only prints them.

Drawn here and not by matplotlib: the page's colours follow the reader's light or dark scheme, text
stays text, and a tooltip reads the same numbers. Drawn here and not by a script in the page: it
prints, and shows everything where scripts are off.
"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from srlit.reports.axis import Axis, Paper, fit, short
from srlit.reports.run_folders import Column

PAPER = Paper(width=360, height=200, left=46, right=12, top=12, bottom=26)
MAX_POINTS = 480  # above one per pixel
MAX_REACH = 400  # neighbours on either side in a running mean
NOISY = 60  # curves with more points are shown with their running mean


class Curve(NamedTuple):
    """One curve.

    Attributes:
        label: its name.
        column: its values over the iterations.
        tone: number of its colour.
        mark: an iteration at which it is marked, that of the selected checkpoint.
        dashed: whether it is the second of two kinds of one colour.
    """

    label: str
    column: Column
    tone: int = 0
    mark: float | None = None
    dashed: bool = False


class Chart(NamedTuple):
    """One chart.

    Attributes:
        title: the heading.
        curves: on common axes.
        note: a line on how to read it.
        x_label: what the horizontal axis is.
        log: whether the vertical axis is logarithmic; None decides by the values.
        lines: where vertical lines stand.
    """

    title: str
    curves: list[Curve]
    note: str = ""
    x_label: str = "iteration"
    log: bool | None = False
    lines: Sequence[float] = ()


class Stroke(NamedTuple):
    """A curve laid out.

    Attributes:
        curve: what is shown.
        path: the SVG path.
        faint: the path behind it: the values themselves where `path` is their mean.
        mark: place and value of the marked point.
    """

    curve: Curve
    path: str
    faint: str
    mark: tuple[float, float, str] | None


class Drawing(NamedTuple):
    """A chart laid out; see `Chart` and `Stroke`.

    Attributes:
        chart: what is shown.
        x: the horizontal axis.
        y: the vertical axis.
        strokes: the curves.
        gaps: places of values that are not finite.
        lines: places of vertical lines.
    """

    chart: Chart
    x: Axis
    y: Axis
    strokes: list[Stroke]
    gaps: list[float]
    lines: list[float]

    def summary(self) -> str:
        """The chart as text, for screen readers."""
        return " ".join(_as_text(stroke.curve) for stroke in self.strokes)

    def data(self) -> dict[str, object]:
        """What the tooltip reads: the axes and the values."""
        curves = [
            {"label": curve.label, "tone": curve.tone, "points": _rounded(curve.column)}
            for curve, *_ in self.strokes
        ]
        x, y = ([axis.low, axis.high, axis.start, axis.end] for axis in (self.x, self.y))
        return {"x": x, "y": [*y, int(self.y.log)], "curves": curves}


def draw(chart: Chart) -> Drawing | None:
    """Lay a chart out; None where there is nothing finite to show."""
    curves = [curve for curve in chart.curves if curve.column.x]
    values = [v for c in curves for v in c.column.y]
    x = fit([0.0, *(v for c in curves for v in c.column.x)], PAPER.left, PAPER.width - PAPER.right)
    y = fit(values, PAPER.height - PAPER.bottom, PAPER.top, log=chart.log, pad=0.06)
    if x is None or y is None:
        return None
    gaps = {
        round(x.place(a), 1) for c in curves for a, b in c.column.pairs() if not math.isfinite(b)
    }
    lines = [round(x.place(v), 1) for v in chart.lines if x.low <= v <= x.high]
    return Drawing(chart, x, y, [_stroke(curve, x, y) for curve in curves], sorted(gaps), lines)


def _stroke(curve: Curve, x: Axis, y: Axis) -> Stroke:
    column = curve.column
    noisy = len(column.x) > NOISY
    strong = running_mean(column, min(len(column.x) // 24, MAX_REACH)) if noisy else column
    faint = path_of(thin(column, MAX_POINTS), x, y) if noisy else ""
    return Stroke(curve, path_of(thin(strong, MAX_POINTS), x, y), faint, _mark(curve, x, y))


def _mark(curve: Curve, x: Axis, y: Axis) -> tuple[float, float, str] | None:
    """The marked point; none where nothing finite was logged at that very iteration."""
    for iteration, value in curve.column.pairs():
        if iteration == curve.mark and math.isfinite(y.place(value)):
            return round(x.place(iteration), 1), round(y.place(value), 1), short(value)
    return None


def path_of(column: Column, x: Axis, y: Axis) -> str:
    """An SVG path through the values, broken where one is not finite.

    A value between two gaps becomes a line of no length, which a round cap shows as a dot.
    """
    places = ((x.place(a), y.place(b)) for a, b in column.pairs())
    stretches = groupby(places, key=lambda place: math.isfinite(place[1]))
    drawn = ([f"{a:.1f} {b:.1f}" for a, b in part] for finite, part in stretches if finite)
    return "".join(f"M{'L'.join(points)}{'h0' if len(points) == 1 else ''}" for points in drawn)


def thin(column: Column, max_points: int) -> Column:
    """At most `max_points`: the extremes of each stretch, the ends, and one gap if it has any.

    A spike or a NaN in a single iteration matters most, and a mean would hide it.
    """
    count = len(column.x)
    if count <= max_points:
        return column
    kept = {0, count - 1}
    stretches = max(max_points // 3 - 1, 1)
    for i in range(stretches):
        part = range(i * count // stretches, (i + 1) * count // stretches)
        finite = [j for j in part if math.isfinite(column.y[j])]
        if finite:
            kept |= {min(finite, key=column.y.__getitem__), max(finite, key=column.y.__getitem__)}
        kept |= set([j for j in part if not math.isfinite(column.y[j])][:1])
    order = sorted(kept)
    return Column([column.x[j] for j in order], [column.y[j] for j in order])


def running_mean(column: Column, reach: int) -> Column:
    """The mean of each value and its finite neighbours on both sides; gaps stay gaps.

    Neighbour by neighbour: of running sums, one exploded loss would eat the digits of all others.
    """
    values = np.array(column.y)
    finite = np.isfinite(values)
    at = np.arange(len(values))
    own = np.minimum(reach, np.minimum(at, len(values) - 1 - at))  # so that no end bends
    sums, counts = np.zeros(len(values)), np.zeros(len(values))
    for shift in range(-reach, reach + 1):
        neighbour = np.clip(at + shift, 0, len(values) - 1)
        seen = finite[neighbour] & (abs(shift) <= own)
        sums += np.where(seen, values[neighbour], 0.0)
        counts += seen
    means = np.where(finite, sums / np.maximum(counts, 1), np.nan)
    return Column(column.x, means.tolist())


def _as_text(curve: Curve) -> str:
    """A curve as text, for screen readers."""
    finite = [(a, b) for a, b in curve.column.pairs() if math.isfinite(b)]
    if not finite:
        return f"{curve.label}: no finite value."
    low, high = (choose(finite, key=lambda pair: pair[1]) for choose in (min, max))
    text = (
        f"{curve.label}: from {short(finite[0][1])} to {short(finite[-1][1])}, "
        f"lowest {short(low[1])} at {short(low[0])}, highest {short(high[1])} at {short(high[0])}"
    )
    missing = len(curve.column.x) - len(finite)
    return text + (f", {missing} values not finite." if missing else ".")


def _rounded(column: Column) -> list[tuple[float, float | None]]:
    """Iterations and values for the tooltip, None where a value is not finite."""
    pairs = thin(column, MAX_POINTS).pairs()
    return [(a, float(f"{b:.5g}") if math.isfinite(b) else None) for a, b in pairs]

"""The perception-distortion plane: PSNR against LPIPS, with the Pareto front."""

from collections.abc import Sequence
from typing import NamedTuple

from srlit.evaluation.tables import Row, first_metric
from srlit.reports.axis import Axis, Paper, fit, short
from srlit.reports.evaluations import falls_or_rises

PAPER = Paper(width=560, height=330, left=48, right=12, top=30, bottom=44)
LONGEST = 28  # letters of a name
LETTER = 6.6  # mean width of a letter at the size of the names


class Point(NamedTuple):
    """A point laid out.

    Attributes:
        x: its place.
        y: likewise.
        label: what it is, and its values.
        name: the label next to it.
        on_front: whether no other point is better in both.
        text: place of the name, and whether it starts or ends there.
    """

    x: float
    y: float
    label: str
    name: str
    on_front: bool
    text: tuple[float, float, str]


class Plane(NamedTuple):
    """Points by two metrics, laid out.

    Attributes:
        title: what the points are.
        x_metric: horizontal; better to the right.
        y_metric: vertical; better at the top.
        points: one per row.
        front: an SVG path along the points that no other beats.
        x: the horizontal axis.
        y: the vertical axis.
    """

    title: str
    x_metric: str
    y_metric: str
    points: list[Point]
    front: str
    x: Axis
    y: Axis


def plane(title: str, rows: Sequence[Row]) -> Plane | None:
    """Place rows by PSNR and LPIPS; None where either is not measured, or for less than three."""
    pair = metrics_of(rows)
    if pair is None:
        return None
    right, up = pair
    shown = [row for row in rows if all(abs(row.get(m, float("nan"))) < 1e30 for m in pair)]
    if len(shown) < 3:
        return None
    x_ends = PAPER.left + 12, PAPER.width - PAPER.right
    y_ends = PAPER.height - PAPER.bottom - 12, PAPER.top
    x = fit([row[right] for row in shown], *_turned(*x_ends, right), pad=0.08)
    y = fit([row[up] for row in shown], *_turned(*y_ends, up), pad=0.1)
    assert x is not None
    assert y is not None
    best = pareto_front(shown, right, up)
    places = [(round(x.place(row[right]), 1), round(y.place(row[up]), 1)) for row in shown]
    names = [_shortened(row["name"]) for row in shown]
    texts = spread([(a, b, name) for name, (a, b) in zip(names, places, strict=True)])
    points = [
        Point(a, b, f"{row['name']}: {right} {short(row[right])}, {up} {short(row[up])}",
              name, row in best, text)
        for row, name, (a, b), text in zip(shown, names, places, texts, strict=True)
    ]  # fmt: skip
    line = sorted((p.x, p.y) for p in points if p.on_front)
    front = "M" + "L".join(f"{a} {b}" for a, b in line)
    return Plane(title, right, up, points, front, x, y)


def spread(points: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Where each point's name goes: at the first of four sides where it touches nothing.

    Args:
        points: places and names.

    Returns:
        Place of each name, and whether it starts or ends there.
    """
    boxes = [(a - 6, b - 6, a + 6, b + 6) for a, b, _ in points]
    found: list[tuple[float, float, str]] = []
    for a, b, name in points:
        places = [(a + dx, b + dy, "start" if dx > 0 else "end")
                  for dy in (-6, 16) for dx in (9, -9)]  # fmt: skip
        best = min(places, key=lambda place: _collisions(_box(place, name), boxes))
        boxes.append(_box(best, name))
        found.append(best)
    return found


Box = tuple[float, float, float, float]


def _box(place: tuple[float, float, str], name: str) -> Box:
    """Left, top, right and bottom of a name."""
    x, base, anchor = place
    left = x if anchor == "start" else x - LETTER * len(name)
    return left, base - 11, left + LETTER * len(name), base + 3


def _collisions(box: Box, others: Sequence[Box]) -> int:
    """How many boxes a box overlaps; an end outside the chart counts as nine."""
    left, top, right, bottom = box
    touched = sum(a < right and left < c and b < bottom and top < d for a, b, c, d in others)
    return touched + 9 * (left < PAPER.left or right > PAPER.width)


def _shortened(name: str) -> str:
    """A name that fits into the chart; beginning and end tell runs of a sweep apart."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[-half + 1 :]}"


def metrics_of(rows: Sequence[Row]) -> tuple[str, str] | None:
    """The first PSNR and the first LPIPS that all rows have."""
    common = {key: 0.0 for key in rows[0] if all(key in row for row in rows)} if rows else {}
    psnr, lpips = (first_metric(common, prefix) for prefix in ("psnr", "lpips"))
    return (psnr, lpips) if psnr and lpips else None


def pareto_front(rows: Sequence[Row], *metrics: str) -> list[Row]:
    """Rows than which no other is at least as good in every metric and better in one."""

    def costs(row: Row) -> list[float]:
        return [-row[m] if falls_or_rises(m) else row[m] for m in metrics]

    def beats(one: Row, other: Row) -> bool:
        pairs = list(zip(costs(one), costs(other), strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    return [row for row in rows if not any(beats(other, row) for other in rows)]


def _turned(start: float, end: float, metric: str) -> tuple[float, float]:
    """Ends of an axis on which better lies at the second one."""
    return (start, end) if falls_or_rises(metric) else (end, start)

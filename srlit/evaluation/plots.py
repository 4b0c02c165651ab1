"""Pictures of results: what is gained against what is lost, and where a method breaks down."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srlit.evaluation.tables import Row, format_value
from srlit.metrics.ranking import rises
from srlit.utils.atomic import atomic_file


def plot_tradeoff(
    path: Path, rows: Sequence[Row], psnr: str, lpips: str, *, line: bool = False
) -> None:
    """Fidelity against perception, a point a row; right and down is better.

    Args:
        path: the picture.
        rows: name and metrics.
        psnr: the metric of the horizontal axis.
        lpips: that of the vertical one.
        line: join the points in the order of the rows, as those of an interpolation.

    Source: Blau and Michaeli 2018, The Perception-Distortion Tradeoff.
    """
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(
        [row[psnr] for row in rows], [row[lpips] for row in rows], "o-" if line else "o", zorder=2
    )
    middle = sum(row[psnr] for row in rows) / len(rows)
    for row in rows:  # labels point inward, so that none leaves the picture
        left = row[psnr] <= middle
        axes.annotate(
            row["name"],
            (row[psnr], row[lpips]),
            xytext=(6 if left else -6, 4),
            textcoords="offset points",
            ha="left" if left else "right",
            size=8,
        )
    axes.set(xlabel=f"{psnr} (dB, higher is better)", ylabel=f"{lpips} (lower is better)")
    axes.grid(alpha=0.3)
    _save(figure, path)


def plot_maps(
    path: Path,
    title: str,
    axes_of: Sequence[tuple[str, Sequence[float]]],
    metric: str,
    matrices: dict[str, list[list[float]]],
) -> None:
    """A heat map a method over two parameters, and the last method's gain over the first.

    Args:
        path: the picture.
        title: what is shown.
        axes_of: name and values of the rows' parameter, then of the columns'.
        metric: what was measured.
        matrices: method to values, by rows; each one's worst is framed.
    """
    names = list(matrices)
    values = {name: np.array(matrix, dtype=float) for name, matrix in matrices.items()}
    gain = (values[names[-1]] - values[names[0]]) * (1 if rises(metric) else -1)
    figure = Figure(figsize=(4 * (len(names) + 1), 4), layout="constrained")
    figure.suptitle(f"{title}; {metric}, {'higher' if rises(metric) else 'lower'} is better")
    places = figure.subplots(1, len(names) + 1, squeeze=False)[0]
    shared = np.concatenate([matrix.ravel() for matrix in values.values()])
    colours = "viridis" if rises(metric) else "viridis_r"
    for place, name in zip(places, names, strict=False):
        _map(place, values[name], axes_of, colours, (float(shared.min()), float(shared.max())))
        worst = values[name].argmin() if rises(metric) else values[name].argmax()
        row, column = np.unravel_index(worst, values[name].shape)
        place.plot(column, row, "s", ms=34, mfc="none", mec="red", mew=2)
        place.set_title(f"{name} (framed: the worst)", size=9)
    most = float(np.abs(gain).max()) or 1.0
    _map(places[-1], gain, axes_of, "RdBu", (-most, most))
    places[-1].set_title(f"gain of {names[-1]} over {names[0]}", size=9)
    _save(figure, path)


def _map(
    place: Axes,
    matrix: "np.ndarray",
    axes_of: Sequence[tuple[str, Sequence[float]]],
    colours: str,
    limits: tuple[float, float],
) -> None:
    place.imshow(matrix, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    for (row, column), value in np.ndenumerate(matrix):
        text = place.text(column, row, format_value(float(value)), ha="center", va="center", size=8)
        text.set_bbox({"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 1})
    (rows, row_values), (columns, column_values) = axes_of
    place.set_yticks(range(len(row_values)), [f"{value:g}" for value in row_values])
    place.set_xticks(range(len(column_values)), [f"{value:g}" for value in column_values])
    place.set(ylabel=rows, xlabel=columns)


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as sibling:
        figure.savefig(sibling, dpi=150)

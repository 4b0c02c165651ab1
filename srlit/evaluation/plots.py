"""Plots of results: perception against distortion, robustness maps, selection."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srlit.evaluation.robustness import RobustnessMap, describe
from srlit.evaluation.tables import Row, first_metric, format_value
from srlit.metrics.ranking import SelectionRule
from srlit.metrics.registry import higher_is_better
from srlit.utils.atomic import atomic_file, write_json

Rows = Sequence[Row]
Colours = tuple[str, float, float]  # a colour map and its range
log = logging.getLogger(__name__)


def plot_tradeoff(path: Path, rows: Rows, *, line: bool = False) -> None:
    """Perception (LPIPS) against distortion (PSNR), one point per row; right and down is better.

    Nothing is drawn where either is not measured.

    Args:
        path: the image file.
        rows: name and metrics.
        line: join the points in the order of the rows, as for an interpolation.

    Source: Blau and Michaeli 2018, The Perception-Distortion Tradeoff.
    """
    psnr, lpips = (first_metric(rows[0], prefix) for prefix in ("psnr", "lpips"))
    if psnr is None or lpips is None:
        return
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([row[psnr] for row in rows], [row[lpips] for row in rows], "o-" if line else "o")
    middle = sum(row[psnr] for row in rows) / len(rows)
    for row in rows:  # labels point inward, so that none leaves the figure
        offset, side = ((6, 4), "left") if row[psnr] <= middle else ((-6, 4), "right")
        point = row[psnr], row[lpips]
        axes.annotate(row["name"], point, offset, textcoords="offset points", ha=side, size=8)
    axes.set(xlabel=f"{psnr} (dB, higher is better)", ylabel=f"{lpips} (lower is better)")
    axes.grid(alpha=0.3)
    _save(figure, path)


def write_maps(folder: Path, title: str, maps: Sequence[RobustnessMap], protocol: Row) -> None:
    """Write `robustness.json` and one plot per map; log where each method is worst."""
    found = [{**each.as_json(), "protocol": protocol} for each in maps]
    write_json(folder / "robustness.json", found)
    for number, each in enumerate(maps):
        name = "robustness.png" if len(maps) == 1 else f"robustness_{number}.png"
        fixed = f", {describe(each.fixed)}" if each.fixed else ""
        plot_robustness(folder / name, title + fixed, each)
        for method in each.models:
            log.info(each.worst(method))


def plot_robustness(path: Path, title: str, found: RobustnessMap) -> None:
    """One heat map per method, its worst cell framed, and the last method's gain over the first.

    Args:
        path: the image file.
        title: what is shown.
        found: the map.
    """
    rising = higher_is_better(found.metric)
    names = list(found.models)
    matrices = np.stack(list(found.models.values()))
    figure = Figure(figsize=(4 * (len(names) + 1), 4), layout="constrained")
    figure.suptitle(f"{title}; {found.metric}, {'higher' if rising else 'lower'} is better")
    *places, last = figure.subplots(1, len(names) + 1, squeeze=False)[0]
    colours = "viridis" if rising else "viridis_r", matrices.min(), matrices.max()
    for place, name, matrix in zip(places, names, matrices, strict=True):
        _heat_map(place, matrix, found, colours)
        row, column = found.worst_cell(name)
        place.plot(column, row, "s", ms=34, mfc="none", mec="red", mew=2)
        place.set_title(f"{name} (framed: the worst)", size=9)
    gain = (matrices[-1] - matrices[0]) * (1 if rising else -1)
    limit = float(np.abs(gain).max()) or 1.0
    _heat_map(last, gain, found, ("RdBu", -limit, limit))
    last.set_title(f"gain of {names[-1]} over {names[0]}", size=9)
    _save(figure, path)


def _heat_map(place: Axes, matrix: np.ndarray, found: RobustnessMap, colours: Colours) -> None:
    name, low, high = colours
    place.imshow(matrix, cmap=name, vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(matrix):
        text = place.text(
            column, row, format_value(float(value), found.metric), ha="center", va="center", size=8
        )
        text.set_bbox({"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 1})
    for axis, (name, values) in zip((place.yaxis, place.xaxis), found.axes, strict=True):
        axis.set_ticks(range(len(values)), [f"{value:g}" for value in values])
        axis.set_label_text(name)


def plot_selection(path: Path, rule: SelectionRule, ranked: Rows, history: Rows) -> None:
    """Each metric of a rule over the iterations: one line per run, a ring around the best.

    Args:
        path: the image file.
        rule: its metric and its minimum values are shown.
        ranked: run, iteration and metrics of the checkpoints, best first.
        history: the same of the runs' validations.
    """
    names = [rule.metric, *rule.minimum]
    figure = Figure(figsize=(8, 3 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        for run in sorted({row["run"] for row in ranked}):
            line, dots = (
                sorted((row["iteration"], row[name]) for row in rows if row["run"] == run)
                for rows in (history, ranked)
            )
            [drawn] = axes.plot(*zip(*(line or dots), strict=True), alpha=0.4)
            axes.plot(*zip(*dots, strict=True), "o", color=drawn.get_color(), label=Path(run).name)
        best = ranked[0]
        axes.plot(best["iteration"], best[name], "o", mfc="none", mec="black", ms=12, mew=1.5)
        if name in rule.minimum:
            axes.axhline(rule.minimum[name], color="black", lw=1, ls="--", label="minimum")
        axes.set(ylabel=name, xlabel="iteration")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set_title("validation photos; dots: existing checkpoints; ring: the best")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as sibling:
        figure.savefig(sibling, dpi=150)

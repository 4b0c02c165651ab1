"""Text and numbers of the page: header, facts of the training, tables with their best values."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from srlit.evaluation.tables import Row, best_value, format_value
from srlit.reports.axis import MINUS
from srlit.reports.configuration import flattened
from srlit.reports.evaluations import REFERENCE, Evaluation, deciding_metric, falls_or_rises, row_of
from srlit.reports.run_folders import Run

# -- tables -------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """A cell.

    Attributes:
        text: its value.
        best: whether it is the best of its column.
        delta: the difference to the reference, signed; empty without one.
        gain: 1 where the difference is to the better, -1 to the worse, 0 otherwise.
    """

    text: str
    best: bool = False
    delta: str = ""
    gain: int = 0


class Table(NamedTuple):
    """A table.

    Attributes:
        title: what it is about.
        note: how to read it.
        columns: names, with whether more is better, None where that is not known.
        rows: the first cell is the row's name.
        tones: colours of the rows; empty where rows have none.
    """

    title: str
    note: str
    columns: list[tuple[str, bool | None]]
    rows: list[list[Cell]]
    tones: Sequence[int] = ()


def evaluation_table(evaluation: Evaluation) -> Table:
    """All methods; differences to bicubic where it was measured."""
    rows, base = evaluation.rows, evaluation.row(REFERENCE)
    columns = [(name, falls_or_rises(name)) for name in ("method", *evaluation.metrics)]
    cells = [
        [Cell(row["name"]), *(metric_cell(name, row, rows, base) for name in evaluation.metrics)]
        for row in rows
    ]
    count = f"{len(evaluation.photos)} photos. " if evaluation.photos else ""
    note = f"{count}Small numbers: difference to {REFERENCE}." if base else count
    return Table(evaluation.title, note, columns, cells)


def runs_table(runs: Sequence[Run]) -> Table:
    """Selected checkpoints, one row per run."""
    rows: list[Row] = [(run.selected.metrics if run.selected else {}) for run in runs]
    # Losses of different terms and weights cannot be compared.
    metrics = list(dict.fromkeys(name for row in rows for name in row if name != "loss"))
    known = [row for row in rows if all(name in row for name in metrics)]
    names = ("run", "status", "time", "iterations", "selected", *metrics)
    cells = []
    for run, row in zip(runs, rows, strict=True):
        status = run.record.status if run.record else "—"
        selected = f"{run.selected.iteration:,}" if run.selected else "—"
        texts = (run.name, status, duration(run), f"{run.iterations:,}", selected)
        measured = [metric_cell(name, row, known, None) for name in metrics]
        cells.append([*map(Cell, texts), *measured])
    note = "Metrics of the selected checkpoints on their own validation photos."
    columns = [(name, falls_or_rises(name)) for name in names]
    return Table("Runs", note, columns, cells, [i % 8 for i in range(len(runs))])


def metric_cell(name: str, row: Row, rows: Sequence[Row], base: Row | None) -> Cell:
    """A metric of a row, and its difference to the reference's."""
    if name not in row:
        return Cell("—")
    known = [other for other in rows if math.isfinite(other[name])]
    best = falls_or_rises(name) is not None and row[name] == best_value(name, known)
    compared = difference(name, row[name], base[name]) if base and base is not row else ("", 0)
    return Cell(format_value(row[name], name), best, *compared)


def difference(metric: str, value: float, base: float) -> tuple[str, int]:
    """A signed difference as text, and whether it is a gain, 1, or a loss, -1."""
    change = value - base
    digits = 2 if "psnr" in metric or abs(base) >= 10 else 4
    if not math.isfinite(change) or round(change, digits) == 0:
        return ("±0" if math.isfinite(change) else "", 0)
    rises = falls_or_rises(metric)
    gain = 0 if rises is None else 1 if (change > 0) == rises else -1
    return f"{change:+.{digits}f}".replace("-", MINUS), gain


def duration(run: Run) -> str:
    """How long a run took, if it has ended."""
    if run.record is None or run.record.ended is None:
        return "—"
    minutes, seconds = divmod(round(run.record.seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def day(seconds: float) -> str:
    """A time as a date, in UTC."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


# -- header -------------------------------------------------------------------------------------


class Figure(NamedTuple):
    """A large number.

    Attributes:
        label: what it is.
        value: the number.
        note: what it is compared with, or where it was measured.
        gain: 1 where the comparison is to the better, -1 to the worse, 0 otherwise.
    """

    label: str
    value: str
    note: str = ""
    gain: int = 0


class Head(NamedTuple):
    """The head.

    Attributes:
        title: the run's name, or how many runs there are.
        line: when, how long, how it ended.
        figures: large numbers.
        facts: what was trained, as terms and descriptions.
    """

    title: str
    line: str
    figures: list[Figure]
    facts: list[tuple[str, str]]


def head(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> Head:
    """The head of a report on some runs."""
    if not runs:
        return Head(evaluations[0].folder.name, "An evaluation.", [], [])
    if len(runs) == 1:
        return Head(runs[0].name, _line(runs[0]), _figures(runs[0], evaluations), facts(runs[0]))
    of_runs = [facts(run) for run in runs]
    common = [fact for fact in of_runs[0] if all(fact in other for other in of_runs)]
    names = ", ".join(run.name for run in runs[:4]) + (", …" if len(runs) > 4 else "")
    return Head(f"{len(runs)} runs", names, _figures_of_best(runs, evaluations), common)


def _line(run: Run) -> str:
    """When, how long, how it ended."""
    if run.record is None:
        return "No run.json tells when and how this run was made."
    took = [] if run.record.ended is None else [f"took {duration(run)}"]
    return " · ".join([run.record.status, day(run.record.started), *took])


def _figures(run: Run, evaluations: Sequence[Evaluation]) -> list[Figure]:
    """Metrics on test photos against the baseline, or else on the validation photos."""
    if run.selected is None:
        return [Figure("iterations", f"{run.iterations:,}", "no checkpoint selected yet")]
    measured = _test_figures(run, evaluations)
    if not measured:
        metrics = {k: v for k, v in run.selected.metrics.items() if k != "loss"}
        values = [(name, format_value(metrics[name], name)) for name in _deciding_first(metrics)]
        measured = [Figure(name, value, "validation photos") for name, value in values]
    selected = f"selected: {run.selected.rule}"
    return [*measured[:4], Figure("iteration", f"{run.selected.iteration:,}", selected)]


def _deciding_first(metrics: Iterable[str]) -> list[str]:
    names = list(metrics)
    return sorted(names, key=lambda name: name != deciding_metric(names))


def _figures_of_best(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> list[Figure]:
    """The best run's figures, by the metric that all selected checkpoints have."""
    rivals = [(run.selected.metrics, run) for run in runs if run.selected]
    common = [name for name in rivals[0][0] if all(name in m for m, _ in rivals)] if rivals else []
    metric = deciding_metric(common)
    finite = [(m[metric], run) for m, run in rivals if math.isfinite(m[metric])] if metric else []
    if metric is None or not finite:
        return []
    choose = max if falls_or_rises(metric) else min
    _, best = choose(finite, key=lambda rival: rival[0])
    return [Figure("best run", best.name, f"by validated {metric}"), *_figures(best, evaluations)]


def _test_figures(run: Run, evaluations: Sequence[Evaluation]) -> list[Figure]:
    """Metrics of this run in the first evaluation that has it, the deciding one first."""
    for evaluation in evaluations:
        row = evaluation.row(row_of(run.name, evaluation))
        if row is not None:
            base = evaluation.row(REFERENCE)
            return [_figure(metric, row, base) for metric in _deciding_first(evaluation.metrics)]
    return []


def _figure(metric: str, row: Row, base: Row | None) -> Figure:
    value = format_value(row[metric], metric)
    if base is None:
        return Figure(metric, value, "test photos")
    change, gain = difference(metric, row[metric], base[metric])
    return Figure(
        metric, value, f"{change} from {REFERENCE}'s {format_value(base[metric], metric)}", gain
    )


# -- what was trained ---------------------------------------------------------------------------


def facts(run: Run) -> list[tuple[str, str]]:
    """Network, phase, loss, data and degradation, as far as the configuration tells."""
    flat = {key: text for key, text in flattened(run.config).items() if text != "null"}
    count, side = flat.get("data.batch_size"), flat.get("data.patch_size")
    iterations = flat.get("iterations", "")
    found = [
        ("network", _network(flat)),
        ("phase", _class_name(flat, "phase").removesuffix("Phase").lower()),
        ("loss", _weights(flat)),
        ("photos", _photos(flat)),
        ("degradation", _degradations(flat)),
        ("batch", f"{count} patches of {side} pixels" if count and side else ""),
        ("iterations", f"{int(iterations):,}" if iterations.isdecimal() else ""),
        ("changed on the way", _changes(run)),
    ]
    return [(term, text) for term, text in found if text]


def _changes(run: Run) -> str:
    """What `resume_changes` allowed, each with its iteration."""
    parts = ("key", "before", "now", "iteration")
    changes = (
        [[c.get(part, "?") for part in parts] for c in run.record.changes] if run.record else []
    )
    return "; ".join(f"{key} {old} → {new} at {when}" for key, old, new, when in changes)


def _class_name(flat: Mapping[str, str], key: str) -> str:
    """The class that a node names, without its module."""
    return flat.get(f"{key}._target_", "").rsplit(".", 1)[-1]


def _network(flat: Mapping[str, str]) -> str:
    keys = ("width", "blocks", "num_feat", "num_block")
    sizes = [f"{key} {flat[f'model.{key}']}" for key in keys if f"model.{key}" in flat]
    scale = f"x{flat['scale']}" if "scale" in flat else ""
    return ", ".join(p for p in (f"{_class_name(flat, 'model')} {scale}".strip(), *sizes) if p)


def _weights(flat: Mapping[str, str]) -> str:
    """Loss terms with their weights; without those of weight 0, schedules by their name only."""
    keys = [key.split(".") for key in flat if key.startswith("loss.weights.")]
    weights = {name: flat.get(f"loss.weights.{name}", "") for _, _, name, *_ in keys}
    return " + ".join(f"{w} {name}".strip() for name, w in weights.items() if w != "0")


def _photos(flat: Mapping[str, str]) -> str:
    keys = (f"data.photos.{key}" for key in ("train_folder", "folder", "root"))
    folder = next((flat[key] for key in keys if key in flat), "")
    return f"{_class_name(flat, 'data.photos')} {Path(folder).name}".strip()


def _degradations(flat: Mapping[str, str]) -> str:
    """That of training; and that of validation, where it differs."""
    trained, validated = (flat.get(f"{k}.name", "") for k in ("degradation", "eval_degradation"))
    return trained if validated in (trained, "") else f"{trained}, validated under {validated}"

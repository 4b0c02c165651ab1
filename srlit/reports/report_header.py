"""The header of a report: title, key numbers, facts of the training."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srlit.evaluation.tables import format_value
from srlit.reports.axis import short
from srlit.reports.evaluations import REFERENCE, Evaluation, deciding_metric, falls_or_rises, row_of
from srlit.reports.html_tables import day, difference, duration
from srlit.reports.run_folders import Run


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
    if len(runs) == 1:
        (run,) = runs
        return Head(run.name, _line(run), _figures(run, evaluations), facts(run))
    if not runs:
        return Head(evaluations[0].folder.name, "An evaluation.", [], [])
    of_runs = [facts(run) for run in runs]
    common = [fact for fact in of_runs[0] if all(fact in other for other in of_runs)]
    names = ", ".join(run.name for run in runs[:4]) + (", …" if len(runs) > 4 else "")
    return Head(f"{len(runs)} runs", names, _figures_of_best(runs, evaluations), common)


def _line(run: Run) -> str:
    """When, how long, how it ended."""
    if run.record is None:
        return "No run.json tells when and how this run was made."
    parts = [run.record.status, day(run.record.started)]
    if run.record.ended is not None:
        parts.append(f"took {duration(run)}")
    return " · ".join(parts)


def _figures(run: Run, evaluations: Sequence[Evaluation]) -> list[Figure]:
    """Metrics on test photos against the baseline, or else on the validation photos."""
    measured = _test_figures(run, evaluations)
    if run.selected is None:
        return [Figure("iterations", f"{run.iterations:,}", "no checkpoint selected yet")]
    if not measured:
        metrics = {k: v for k, v in run.selected.metrics.items() if k != "loss"}
        first = deciding_metric(list(metrics))
        order = sorted(metrics, key=lambda name: name != first)
        measured = [Figure(n, format_value(metrics[n]), "validation photos") for n in order]
    selected = f"selected: {run.selected.rule}"
    return [*measured[:4], Figure("iteration", f"{run.selected.iteration:,}", selected)]


def _figures_of_best(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> list[Figure]:
    """The best run's figures, by the metric that all selected checkpoints have."""
    rivals = [(run.selected.metrics, run) for run in runs if run.selected]
    common = [name for name in rivals[0][0] if all(name in m for m, _ in rivals)] if rivals else []
    metric = deciding_metric(common)
    if metric is None:
        return []
    finite = [(m[metric], run) for m, run in rivals if math.isfinite(m[metric])]
    if not finite:
        return []
    choose = max if falls_or_rises(metric) else min
    _, best = choose(finite, key=lambda rival: rival[0])
    return [Figure("best run", best.name, f"by validated {metric}"), *_figures(best, evaluations)]


def _test_figures(run: Run, evaluations: Sequence[Evaluation]) -> list[Figure]:
    """Metrics of this run in the first evaluation that has it, the deciding one first."""
    for evaluation in evaluations:
        name = row_of(run.name, evaluation)
        if name is None:
            continue
        row = next(row for row in evaluation.rows if row["name"] == name)
        base = next((row for row in evaluation.rows if row["name"] == REFERENCE), None)
        first = deciding_metric(evaluation.metrics)
        order = sorted(evaluation.metrics, key=lambda metric: metric != first)
        return [_figure(metric, row, base) for metric in order]
    return []


def _figure(metric: str, row: Mapping[str, Any], base: Mapping[str, Any] | None) -> Figure:
    value = format_value(row[metric])
    if base is None:
        return Figure(metric, value, "test photos")
    change, gain = difference(metric, row[metric], base[metric])
    return Figure(metric, value, f"{change} from {REFERENCE}'s {format_value(base[metric])}", gain)


# -- what was trained ---------------------------------------------------------------------------


def facts(run: Run) -> list[tuple[str, str]]:
    """Network, phase, loss, data and degradation, as far as the configuration tells."""
    config = run.config
    found = [
        ("network", _with_scale(config)),
        ("phase", class_name(config.get("phase")).removesuffix("Phase").lower()),
        ("loss", _weights(config)),
        ("photos", _photos(config)),
        ("degradation", _degradations(config)),
        ("batch", _batch(config)),
        ("iterations", _count(config.get("iterations"))),
    ]
    return [(term, text) for term, text in found if text]


def _node(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A mapping below keys; an empty one where there is none."""
    node: Any = config
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def class_name(node: Any) -> str:  # noqa: ANN401 - a YAML node
    """The class that a node names, without its module."""
    target = node.get("_target_") if isinstance(node, dict) else None
    return target.rsplit(".", 1)[-1] if isinstance(target, str) else ""


def _with_scale(config: Mapping[str, Any]) -> str:
    model = _node(config, "model")
    sizes = [
        f"{key} {model[key]}"
        for key in ("width", "blocks", "num_feat", "num_block")
        if isinstance(model.get(key), int)
    ]
    name = class_name(model)
    scale = f"x{config['scale']}" if isinstance(config.get("scale"), int) else ""
    return ", ".join(part for part in (" ".join(p for p in (name, scale) if p), *sizes) if part)


def _weights(config: Mapping[str, Any]) -> str:
    """Names of loss terms with their weights."""
    weights = _node(config, "loss", "weights")
    return " + ".join(
        f"{short(w)} {name}" if isinstance(w, (int, float)) else str(name)
        for name, w in weights.items()
    )


def _photos(config: Mapping[str, Any]) -> str:
    photos = _node(config, "data", "photos")
    folder = next(
        (
            photos[key]
            for key in ("train_folder", "folder", "root")
            if isinstance(photos.get(key), str)
        ),
        "",
    )
    return " ".join(part for part in (class_name(photos), Path(folder).name) if part)


def _degradations(config: Mapping[str, Any]) -> str:
    """Of the training; and of the validation, where it is another."""
    names = [_node(config, key).get("name") for key in ("degradation", "eval_degradation")]
    trained, validated = (name if isinstance(name, str) else "" for name in names)
    return trained if validated in (trained, "") else f"{trained}, validated under {validated}"


def _batch(config: Mapping[str, Any]) -> str:
    data = _node(config, "data")
    count, side = data.get("batch_size"), data.get("patch_size")
    return f"{count} patches of {side} pixels" if count and side else ""


def _count(value: Any) -> str:  # noqa: ANN401 - a YAML leaf
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else ""

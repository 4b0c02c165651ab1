"""The page: one self-contained HTML file."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jinja2
import yaml
from markupsafe import Markup

import srlit
from srlit.reports import curves, pareto
from srlit.reports.configuration import Difference, differences
from srlit.reports.curves import Drawing
from srlit.reports.evaluations import Evaluation, deciding_metric, ranked
from srlit.reports.folders import Subjects, find_subjects
from srlit.reports.groups import Group, curve_groups, drawn
from srlit.reports.heatmap import FILE as ROBUSTNESS
from srlit.reports.heatmap import Robustness, read_robustness
from srlit.reports.html_tables import Table, evaluation_table, runs_table
from srlit.reports.image_viewer import Viewer, embed, evaluation_shots, panel_shots
from srlit.reports.interpolation import FILE as INTERPOLATION
from srlit.reports.interpolation import read_interpolation
from srlit.reports.pareto import Plane, plane
from srlit.reports.report_header import Head, head
from srlit.reports.run_folders import Column, Run
from srlit.reports.throughput import read_pace
from srlit.reports.warnings import Warnings

TEMPLATES = Path(__file__).parent / "template"

T = TypeVar("T")


class Extremes(NamedTuple):
    """Photos at both ends of an evaluation.

    Attributes:
        metric: that ranks them.
        method: whose values are ranked.
        worst: photos and values, the worst first.
        best: likewise, the best first.
    """

    metric: str
    method: str
    worst: list[tuple[str, float]]
    best: list[tuple[str, float]]


class Measurement(NamedTuple):
    """An evaluation on the page.

    Attributes:
        table: all methods.
        plane: the methods by fidelity and perception.
        extremes: its worst and best photos, if it has values a photo.
        viewers: those of them that have comparison images.
    """

    table: Table
    plane: Plane | None
    extremes: Extremes | None
    viewers: list[Viewer]


class Content(NamedTuple):
    """What the templates read.

    Attributes:
        head: title, key numbers and facts.
        runs: names, colours, whole configurations and commands.
        table: the runs' selected checkpoints, if there are several.
        sweep: the runs by fidelity and perception, if there are several.
        panels: validation photos to compare.
        stored: how images are stored; empty without any.
        measurements: the evaluations.
        groups: curves.
        robustness: maps, each with its folder.
        interpolations: curves between two networks, likewise.
        differences: keys that the runs have different.
        warnings: what could not be read.
    """

    head: Head
    runs: list[dict[str, Any]]
    table: Table | None
    sweep: Plane | None
    panels: list[Viewer]
    stored: str
    measurements: list[Measurement]
    groups: list[Group]
    robustness: list[tuple[str, Robustness]]
    interpolations: list[tuple[str, list[Drawing]]]
    differences: list[Difference]
    warnings: list[str]


def report_page(named: Sequence[Path], *, image_bytes: int, extremes: int) -> str:
    """The report on runs, evaluations and folders of such.

    Args:
        named: the folders.
        image_bytes: bytes that all images together may take.
        extremes: how many of the worst and of the best photos to show of each evaluation.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a folder that holds neither.
    """
    warnings = Warnings()
    subjects = find_subjects(named, warnings)
    return render(collect(subjects, warnings, image_bytes=image_bytes, extremes=extremes))


def collect(subjects: Subjects, warnings: Warnings, *, image_bytes: int, extremes: int) -> Content:
    """Everything that the page shows; what cannot be read is noted and left out."""
    runs, evaluations, folders = subjects
    paces = [warnings.attempt(read_pace, run.folder, Column([], [])) for run in runs]
    shots = [evaluation_shots(evaluation, extremes, warnings) for evaluation in evaluations]
    viewers, stored = embed([panel_shots(runs, warnings), *shots], image_bytes, warnings)
    panels, *extreme = viewers
    several = len(runs) > 1
    return Content(
        head=head(runs, evaluations),
        runs=[_about(run, i) for i, run in enumerate(runs)],
        table=runs_table(runs) if several else None,
        sweep=plane("Selected checkpoints on their validation photos", _rows(runs)),
        panels=panels,
        stored=stored if any(viewers) else "",
        measurements=[
            Measurement(evaluation_table(e), plane(e.title, e.rows), _extremes(e, extremes), found)
            for e, found in zip(evaluations, extreme, strict=True)
        ],
        groups=curve_groups(runs, paces),
        robustness=[
            (folder, each)
            for folder, maps in _in_each(folders, ROBUSTNESS, read_robustness, warnings)
            for each in maps
        ],
        interpolations=[
            (folder, drawings)
            for folder, charts in _in_each(folders, INTERPOLATION, read_interpolation, warnings)
            if (drawings := drawn(charts))
        ],
        differences=differences(runs) if several else [],
        warnings=warnings,
    )


def _about(run: Run, number: int) -> dict[str, Any]:
    """A run's name, colour, command and configuration."""
    return {
        "name": run.name,
        "tone": number % 8,
        "command": run.record.command if run.record else "",
        "config": yaml.safe_dump(run.config, sort_keys=False) if run.config else "",
    }


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Selected checkpoints as rows of a table."""
    return [{"name": run.name} | run.selected.metrics for run in runs if run.selected]


def _extremes(evaluation: Evaluation, count: int) -> Extremes | None:
    """The worst and the best photos, with and without comparison images."""
    metric = deciding_metric(evaluation.metrics)
    if metric is None or not evaluation.photos:
        return None
    method = evaluation.ranked_method
    order = [(p.name, p.values[method][metric]) for p in ranked(evaluation.photos, method, metric)]
    return Extremes(metric, method, order[:count], order[::-1][:count]) if order else None


def _in_each(
    folders: Sequence[Path], name: str, read: Callable[[Path], list[T]], warnings: Warnings
) -> list[tuple[str, list[T]]]:
    """What the files of a name hold, with their folders' names."""
    paths = [folder / name for folder in folders if (folder / name).is_file()]
    empty: list[T] = []
    return [(path.parent.name, warnings.attempt(read, path, empty)) for path in paths]


# -- rendering ----------------------------------------------------------------------------------


def render(content: Content) -> str:
    """The page as HTML; whatever a run is called, it is text.

    The policy admits the one style and the one script that stand in the page, by their hashes, and
    images out of the page itself: even a text that got past the escaping could load or run nothing.
    """
    style, script = (_source(name) for name in ("page.css", "page.js"))
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{digest(style)}'",
            f"script-src '{digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return _environment().get_template("page.html").render(
        **content._asdict(),
        policy=policy,
        style=Markup(style),  # noqa: S704 - the package's own file
        script=Markup(script),  # noqa: S704
        version=srlit.__version__,
        chart_paper=curves.PAPER,
        plane_paper=pareto.PAPER,
    )  # fmt: skip


def digest(text: str) -> str:
    """The hash by which a policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

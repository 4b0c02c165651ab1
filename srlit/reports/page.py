"""The page: one self-contained HTML file."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import yaml
from markupsafe import Markup

import srlit
from srlit.reports import curves, groups, heatmap, pareto
from srlit.reports.configuration import differences
from srlit.reports.evaluations import Evaluation, deciding_metric, ranked
from srlit.reports.image_viewer import Viewer, embed, evaluation_shots, panel_shots
from srlit.reports.run_folders import Column, Run, Subjects, find_subjects
from srlit.reports.summary_tables import evaluation_table, head, runs_table
from srlit.reports.throughput import read_pace
from srlit.reports.warnings import Warnings

TEMPLATES = Path(__file__).parent / "template"

T = TypeVar("T")


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


def collect(
    subjects: Subjects, warnings: Warnings, *, image_bytes: int, extremes: int
) -> dict[str, Any]:
    """Everything that the templates read; what cannot be read is noted and left out."""
    runs, evaluations, folders = subjects
    paces = [warnings.attempt(read_pace, run.folder, Column([], [])) for run in runs]
    shots = [evaluation_shots(evaluation, extremes, warnings) for evaluation in evaluations]
    viewers, stored = embed([panel_shots(runs, warnings), *shots], image_bytes, warnings)
    panels, *of_evaluations = viewers
    selected = [{"name": run.name} | run.selected.metrics for run in runs if run.selected]
    maps = _in_each(folders, heatmap.FILE, heatmap.read_robustness, warnings)
    charts = _in_each(folders, groups.INTERPOLATION, groups.read_interpolation, warnings)
    return {
        "head": head(runs, evaluations),
        "runs": [_about(run, i) for i, run in enumerate(runs)],
        "table": runs_table(runs) if len(runs) > 1 else None,
        "sweep": pareto.plane("Selected checkpoints on their validation photos", selected),
        "panels": panels,
        "stored": stored if any(viewers) else "",
        "measurements": [
            _measurement(evaluation, extremes, found)
            for evaluation, found in zip(evaluations, of_evaluations, strict=True)
        ],
        "groups": groups.curve_groups(runs, paces),
        "robustness": [(folder, each) for folder, found in maps for each in found],
        "interpolations": [
            (folder, drawings) for folder, found in charts if (drawings := groups.drawn(found))
        ],
        "differences": differences(runs) if len(runs) > 1 else {},
        "warnings": warnings,
    }


def _about(run: Run, number: int) -> dict[str, Any]:
    """A run's name, colour, command and configuration."""
    return {
        "name": run.name,
        "tone": number % groups.TONES,
        "command": run.record.command if run.record else "",
        "config": yaml.safe_dump(run.config, sort_keys=False) if run.config else "",
    }


def _measurement(evaluation: Evaluation, extremes: int, viewers: list[Viewer]) -> dict[str, Any]:
    """An evaluation: table, plane, comparison images, and its worst and best photos."""
    metric, method = deciding_metric(evaluation.metrics) or "", evaluation.ranked_method
    order = ranked(evaluation.photos, method, metric)
    values = [(photo.name, photo.values[method][metric]) for photo in order]
    return {
        "table": evaluation_table(evaluation),
        "plane": pareto.plane(evaluation.title, evaluation.rows),
        "metric": metric,
        "method": method,
        "extremes": {"worst": values[:extremes], "best": values[::-1][:extremes]} if values else {},
        "viewers": viewers,
    }


def _in_each(
    folders: Sequence[Path], name: str, read: Callable[[Path], list[T]], warnings: Warnings
) -> list[tuple[str, list[T]]]:
    """What the files of a name hold, with their folders' names."""
    found = [(f.name, warnings.attempt(read, f / name, None, optional=True)) for f in folders]
    return [(folder, results) for folder, results in found if results is not None]


# -- rendering ----------------------------------------------------------------------------------

POLICY = (
    "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; "
    "form-action 'none'"
)


def render(content: Mapping[str, Any]) -> str:
    """The page as HTML; whatever a run is called, it is text.

    The policy admits the one style and the one script that stand in the page, by their hashes, and
    images out of the page itself: even a text that got past the escaping could load or run nothing.
    """
    style, script = ((TEMPLATES / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        **content,
        policy=POLICY.format(digest(style), digest(script)),
        style=Markup(style),  # noqa: S704 - the package's own file
        script=Markup(script),  # noqa: S704
        version=srlit.__version__,
        chart_paper=curves.PAPER,
        plane_paper=pareto.PAPER,
    )


def digest(text: str) -> str:
    """The hash by which a policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

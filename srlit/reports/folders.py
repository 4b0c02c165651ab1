"""Finding runs and evaluations in the folders that the command line names."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from srlit.reports.evaluations import Evaluation, is_evaluation, read_evaluation, row_of
from srlit.reports.run_folders import Run, is_run, read_run
from srlit.reports.warnings import Warnings


class Subjects(NamedTuple):
    """The runs and evaluations of a report.

    Attributes:
        runs: in the order in which they were named, or started.
        evaluations: of these runs.
        folders: every folder that may hold further results, the named ones first.
    """

    runs: list[Run]
    evaluations: list[Evaluation]
    folders: list[Path]


def find_subjects(named: Sequence[Path], warnings: Warnings) -> Subjects:
    """Runs and evaluations in the named folders, one level below, and evaluations next to the runs.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a folder without a run or evaluation.
    """
    inside = [folder for path in named for folder in _work_in(path)]
    folders = [folder for folder in _unique(inside) if is_run(folder)]
    names = _names(folders)
    runs = [read_run(folder, names[folder], warnings) for folder in folders]
    parents = _unique(folder.absolute().parent for folder in folders)
    nearby = [folder for parent in parents for folder in [parent, *sorted(parent.iterdir())]]
    evaluations = [
        found
        for folder in filter(is_evaluation, _unique([*inside, *nearby]))
        if (found := read_evaluation(folder, warnings)) is not None
        # One that nobody named must have a row of one of the runs.
        and (folder in inside or any(row_of(run.name, found) for run in runs))
    ]
    every = _unique([*named, *folders, *(found.folder for found in evaluations)])
    return Subjects(runs, evaluations, every)


def _work_in(path: Path) -> list[Path]:
    """The folder, if something was done in it, and those one level below; the oldest first."""
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder: expected one of a run, or of several")
    below = sorted((child for child in path.iterdir() if child.is_dir()), key=_age)
    found = [folder for folder in [path, *below] if is_run(folder) or is_evaluation(folder)]
    if not found:
        raise ValueError(
            f"{path}: neither a run (no run.json, metrics.csv or best.json), nor an evaluation "
            "(no table.json with photos.csv), nor a folder of such folders"
        )
    return found


def _age(folder: Path) -> tuple[float, str]:
    """Sort key: when its configuration was written, which a finished run leaves as it is."""
    config = folder / "config.yaml"
    return (config.stat().st_mtime if config.is_file() else float("inf")), folder.name


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """A folder's name, with as much of its path as tells it from the others."""
    whole = {folder: folder.absolute().parts for folder in folders}
    for length in itertools.count(1):
        names = {folder: str(Path(*parts[-length:])) for folder, parts in whole.items()}
        if len(set(names.values())) == len(names):
            break
    return names


def _unique(folders: Iterable[Path]) -> list[Path]:
    """Each folder once, however it was named."""
    found: dict[Path, Path] = {}
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return list(found.values())

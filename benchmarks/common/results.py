"""Lines of a result, the tables made of them, and the command that prints and stores them."""

import argparse
import itertools
import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """One line of the result; a line without a value says in `note` why it has none."""

    section: str
    name: str
    value: float | None = None
    unit: str = ""
    times: float | None = None
    least: float | None = None
    largest: float | None = None
    of_means: float | None = None
    note: str = ""
    blocks: list[float] = field(default_factory=list)  # seconds a call


class Measure(NamedTuple):
    """What is shown of the seconds of a call."""

    unit: str
    value: Callable[[float], float]


def milliseconds(count: int, thing: str = "sample") -> Measure:
    """Of one of the things that a call makes."""
    return Measure(f"ms/{thing}", lambda seconds: 1000 * seconds / count)


def rate(count: int, things: str = "samples") -> Measure:
    """How many of these things are made in a second."""
    return Measure(f"{things}/s", lambda seconds: count / seconds)


def timed_rows(section: str, blocks: Mapping[str, list[float]], measure: Measure) -> list[Row]:
    """The first contestant's time, and the others' beside it.

    Args:
        section: its title.
        blocks: name to seconds a call, a number a round.
        measure: what is shown of a call's seconds.
    """
    reference = next(iter(blocks.values()))
    rows = []
    for name, own in blocks.items():
        ratios = [mine / theirs for mine, theirs in zip(own, reference, strict=True)]
        rows.append(
            Row(
                section,
                name,
                measure.value(statistics.median(own)),
                measure.unit,
                statistics.median(ratios),
                min(ratios),
                max(ratios),
                sum(own) / sum(reference),
                blocks=own,
            )
        )
    return rows


def cell(value: float | None) -> str:
    """Three significant digits; nothing for nothing."""
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def print_rows(rows: Sequence[Row]) -> None:
    """A table a section; lines without a value below theirs."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    for section, group in itertools.groupby(rows, key=lambda row: row.section):
        lines = list(group)
        table = Table(title=section, title_justify="left")
        table.add_column("name", no_wrap=True)
        for name in ("value", "unit", "times", "min", "max", "of means"):
            table.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
        table.add_column("note")
        for row in lines:
            if row.value is not None:
                numbers = map(cell, (row.times, row.least, row.largest, row.of_means))
                table.add_row(row.name, cell(row.value), row.unit, *numbers, row.note)
        console.print(table if table.row_count else section, highlight=False)
        for row in lines:
            if row.value is None:
                console.print(
                    f"{row.name}: {row.note}", markup=False, highlight=False, soft_wrap=True
                )


def make_parser(doc: str | None, sections: Iterable[str], quick: str) -> argparse.ArgumentParser:
    """The options of every benchmark.

    Args:
        doc: of its module; the first line describes it.
        sections: their names.
        quick: what `--quick` does.
    """
    parser = argparse.ArgumentParser(description=(doc or "").split("\n", maxsplit=1)[0])
    names = list(sections)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--sections", nargs="+", choices=names, default=names, help="which to run")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    return parser


def report(
    args: argparse.Namespace, run: Callable[[str], list[Row]], about: Mapping[str, Any]
) -> None:
    """Measure the sections, print each when it is done, store all.

    Args:
        args: of `make_parser`.
        run: measures the section of this name.
        about: what the stored numbers depend on.
    """
    rows: list[Row] = []
    for name in args.sections:
        found = run(name)
        print_rows(found)
        rows += found
    if args.json:
        result = {"torch": torch.__version__, **about, "rows": [asdict(row) for row in rows]}
        args.json.write_text(json.dumps(result, indent=2) + "\n")

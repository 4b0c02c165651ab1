"""Result tables for people: rows of a name and numbers as Markdown, LaTeX or on the console."""

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from srlit.metrics.registry import higher_is_better

Row = dict[str, Any]
Cells = Collection[tuple[str, str]]  # a row's name and a column
STAR = "*"


def markdown_table(rows: Sequence[Row], starred: Cells = ()) -> str:
    """Rows with equal keys as a Markdown table; the best value of each metric in bold.

    Args:
        rows: the rows.
        starred: cells that are followed by a star.
    """
    dashes = ["---", *["---:"] * (len(rows[0]) - 1)]
    escaped = partial(_escaped, special="|")
    cells = _format_cells(rows, starred, escaped, bold="**{}**", star="\\" + STAR)
    lines = [list(rows[0]), dashes, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex_table(rows: Sequence[Row], starred: Cells = ()) -> str:
    r"""The same as a LaTeX `tabular` with booktabs rules; needs \usepackage{booktabs}."""
    escaped = partial(_escaped, special="#$%&_{}")
    star = "$^{" + STAR + "}$"
    cells = _format_cells(rows, starred, escaped, bold=r"\textbf{{{}}}", star=star)
    head, *body = (" & ".join(line) + r" \\" for line in [map(escaped, rows[0]), *cells])
    begin = rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}"
    rules = begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"
    return "\n".join(rules)


def _escaped(text: str, special: str) -> str:
    """A backslash before each special character; `~`, `^` and backslashes are replaced."""
    plain = text.translate({ord("~"): " ", ord("^"): " ", ord("\\"): "/"})
    return re.sub(f"([{re.escape(special)}])", r"\\\1", plain)


def _format_cells(
    rows: Sequence[Row], starred: Cells, escaped: Callable[[str], str], *, bold: str, star: str
) -> Iterator[list[str]]:
    best = {key: best_value(key, rows) for key in rows[0]}
    for row in rows:
        line = []
        for key, value in row.items():
            text = escaped(format_value(value))
            text = bold.format(text) if value == best[key] else text
            line.append(text + star if (row["name"], key) in starred else text)
        yield line


def best_value(column: str, rows: Sequence[Row]) -> float | None:
    """The best value of a metric; None for other columns, and where all values are NaN."""
    try:
        known = [float(row[column]) for row in rows if not math.isnan(row[column])]
        return (max if higher_is_better(column) else min)(known)
    except (ValueError, TypeError):
        return None


def first_metric(row: Row, prefix: str) -> str | None:
    """The first column whose name begins with a prefix, such as 'lpips'."""
    return next((name for name in row if name.startswith(prefix)), None)


def format_value(value: Any) -> str:  # noqa: ANN401 - a cell
    """Two decimals for values from 10 on, such as decibels; four for smaller ones."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def print_table(title: str, rows: Sequence[Row], starred: Cells = ()) -> None:
    """Print a table on the console; it is not cut where the output is a file."""
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    table = Table(title=escape(title), title_justify="left")
    for index, key in enumerate(rows[0]):
        table.add_column(key, justify="left" if index == 0 else "right", no_wrap=True)
    for line in _format_cells(rows, starred, escape, bold="[bold]{}[/bold]", star=STAR):
        table.add_row(*line)
    console.print(table)

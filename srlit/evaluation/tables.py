"""Result tables for people: rows of a name and numbers as Markdown, LaTeX or on the console."""

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from srlit.metrics.registry import higher_is_better

Row = dict[str, Any]
Cells = Collection[tuple[str, str]]  # a row's name and a column
Column = Sequence[str]  # its name, then its cells
STAR = "*"

MIN_WIDTH = 60  # of a console; narrower ones wrap lines
MAX_NAME = 24  # characters of a row's name in a line
FRAME = 3  # characters around a column


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
            text = escaped(format_value(value, key))
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


def format_value(value: Any, column: str = "") -> str:  # noqa: ANN401 - a cell
    """Two decimals for decibels and for values from 10 on; four for others."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if "psnr" in column or abs(value) >= 10 else f"{value:.4f}"


def print_table(title: str, rows: Sequence[Row], starred: Cells = ()) -> None:
    """Print a table on the console; one that is too wide is printed in parts, no number is cut.

    The first column is the rows' name, which is folded where it is long.
    """
    console = Console()
    console = Console(width=max(console.width, MIN_WIDTH))
    console.print(escape(title), highlight=False)
    lines = _format_cells(rows, starred, escape, bold="[bold]{}[/bold]", star=STAR)
    names, *columns = zip(rows[0], *lines, strict=True)
    fixed = min(_width(names), MAX_NAME) + FRAME
    if fixed + sum(_width(column) + FRAME for column in columns) >= console.width:
        columns = [(head.replace("_", "_\n"), *cells) for head, *cells in columns]
    for part in _parts(columns, console.width - fixed - 1):
        table = Table()
        table.add_column(names[0], overflow="fold", max_width=MAX_NAME)
        for head, *_ in part:
            table.add_column(head, justify="right", no_wrap=True)
        for line in zip(names[1:], *(cells for _, *cells in part), strict=True):
            table.add_row(*line)
        console.print(table)


def _width(column: Sequence[str]) -> int:
    """Characters that the longest line of a column takes."""
    return max(Text.from_markup(line).cell_len for cell in column for line in cell.split("\n"))


def _parts(columns: Sequence[Column], room: int) -> list[list[Column]]:
    """Columns in order, as many in each part as there is room for."""
    parts: list[list[Column]] = [[]]
    left = room
    for column in columns:
        needed = _width(column) + FRAME
        if parts[-1] and needed > left:
            parts.append([])
            left = room
        parts[-1].append(column)
        left -= needed
    return parts

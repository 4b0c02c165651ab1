"""Result tables: rows of a name and numbers, for people to read."""

import math
import re
from collections.abc import Collection, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from srlit.metrics.ranking import rises

Row = dict[str, Any]
Marked = Collection[tuple[str, str]]  # cells, by the row's name and the column
MARK = "*"


def markdown_table(rows: Sequence[Row], marked: Marked = ()) -> str:
    """Rows of equal keys as a Markdown table; the best of each metric in bold.

    Args:
        rows: the rows.
        marked: cells that a star follows.
    """
    columns = list(rows[0])
    dashes = ["---"] + ["---:"] * (len(columns) - 1)
    cells = _cells(rows, marked, bold="**{}**", star="\\" + MARK)
    lines = [columns, dashes, *([_escaped(line[0], "|"), *line[1:]] for line in cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex_table(rows: Sequence[Row], marked: Marked = ()) -> str:
    r"""The same as a LaTeX `tabular`, with booktabs' rules; needs \usepackage{booktabs}."""
    columns = list(rows[0])
    cells = _cells(rows, marked, bold=r"\textbf{{{}}}", star="$^{" + MARK + "}$")
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        r"\toprule",
        " & ".join(_escaped(column, LATEX) for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join([_escaped(line[0], LATEX), *line[1:]]) + r" \\" for line in cells),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


LATEX = "#$%&_{}"  # what a backslash makes a letter of


def _escaped(text: str, special: str) -> str:
    """Text in which no character means more than itself."""
    plain = text.translate({ord("~"): " ", ord("^"): " ", ord("\\"): "/"})
    return re.sub(f"([{re.escape(special)}])", r"\\\1", plain)


def _cells(rows: Sequence[Row], marked: Marked, *, bold: str, star: str) -> list[list[str]]:
    """Every cell as text: the best of a column in bold, a star where it is marked."""
    best = {key: best_value(key, rows) for key in rows[0]}

    def cell(row: Row, key: str) -> str:
        text = format_value(row[key])
        shown = bold.format(text) if row[key] == best[key] else text
        return shown + star if (row["name"], key) in marked else shown

    return [[cell(row, key) for key in row] for row in rows]


def best_value(column: str, rows: Sequence[Row]) -> float | None:
    """The best value of a column; None for columns that are no metric, or all of whose are NaN."""
    try:
        known = [float(row[column]) for row in rows if not math.isnan(row[column])]
        return (max if rises(column) else min)(known)
    except (ValueError, TypeError):
        return None


def format_value(value: Any) -> str:  # noqa: ANN401 - a cell
    """Two digits after the point for decibels, four for what lies around 1."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def print_table(title: str, rows: Sequence[Row], marked: Marked = ()) -> None:
    """The table on the console, whole even where the output is a file."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(title=escape(title), title_justify="left")
    for index, key in enumerate(rows[0]):
        table.add_column(key, justify="left" if index == 0 else "right", no_wrap=True)
    for line in _cells(rows, marked, bold="[bold]{}[/bold]", star=MARK):
        table.add_row(escape(line[0]), *line[1:])
    console.print(table)

"""Result tables: rows of a name and numbers, for people to read."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from srlit.metrics.selection import rises

Row = dict[str, Any]


def markdown_table(rows: Sequence[Row]) -> str:
    """Rows of equal keys as a Markdown table; the best of each metric in bold."""
    columns = list(rows[0])
    best = {key: best_value(key, rows) for key in columns}
    dashes = ["---"] + ["---:"] * (len(columns) - 1)

    def cell(key: str, value: Any) -> str:  # noqa: ANN401 - a cell
        return f"**{format_value(value)}**" if value == best[key] else format_value(value)

    lines = [[cell(key, row[key]) for key in columns] for row in rows]
    lines = [columns, dashes, *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def best_value(column: str, rows: Sequence[Row]) -> float | None:
    """The best value of a column; None for columns that are no metric."""
    try:
        return float((max if rises(column) else min)(row[column] for row in rows))
    except (ValueError, TypeError):
        return None


def format_value(value: Any) -> str:  # noqa: ANN401 - a cell
    """Two digits after the point for decibels, four for what lies around 1."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def print_table(title: str, rows: Sequence[Row]) -> None:
    """The table on the console, whole even where the output is a file."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(title=title, title_justify="left")
    for index, key in enumerate(rows[0]):
        table.add_column(key, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(format_value(value) for value in row.values()))
    console.print(table)

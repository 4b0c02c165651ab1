"""Results of one data set: means, confidence intervals, significant differences, result files."""

import csv
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from srlit.evaluation.measure import Results
from srlit.evaluation.statistics import confidence_interval, holm, paired_p
from srlit.evaluation.tables import STAR, Row, latex_table, markdown_table, print_table
from srlit.utils.atomic import atomic_file, write_json, write_text
from srlit.utils.small_files import quoted_text

log = logging.getLogger(__name__)

# Columns that say on what was measured, and how.
LABELS = ("data", "split", "images", "degradation", "scale", "crop", "tile")
SIGNIFICANT = 0.05


class Protocol(NamedTuple):
    """What was measured on, and how; stated by every table and every file of results.

    Attributes:
        data: the data set's name.
        degradation: its name; 'real' where LR images came with the photos.
        split: 'val' or 'test'.
        scale: upscaling factor.
        crop: side of the centre crop in HR pixels; None: whole images.
        tile: side of the networks' tiles in LR pixels; None: not tiled.
        own_tiles: those of networks that set another tile themselves, by their names.
    """

    data: str
    degradation: str
    split: str
    scale: int
    crop: int | None
    tile: int | None
    own_tiles: Mapping[str, int] = MappingProxyType({})

    @classmethod
    def of_run(cls, stored: Mapping[str, Any]) -> "Protocol":
        """How a run was validated, by its configuration.

        Raises:
            LookupError: the configuration does not tell.
        """
        data, name = stored["data"], stored["eval_degradation"]["name"]
        if data["photos"]["_target_"].endswith(".PairFolders"):
            name = "real"
        tile = stored["phase"].get("val_tile")
        return cls("validation", name, "val", stored["scale"], data.get("eval_crop"), tile)

    def labels(self, images: int | None, name: str = "") -> Row:
        """The columns of all rows.

        Args:
            images: how many were measured; None where that is not known.
            name: the row's method.
        """
        tile = self.own_tiles.get(name, self.tile) or "none"
        values = {**self._asdict(), "crop": self.crop or "whole", "tile": tile}
        known = {label: values.get(label, images) for label in LABELS}
        return {label: value for label, value in known.items() if value is not None}

    def describe(self, images: int | None = None) -> str:
        """In words, with the number of images where it is known."""
        count = "" if images is None else f"{images} "
        crop = f"centre crops of {self.crop}" if self.crop else "whole"
        how = "real pairs" if self.degradation == "real" else f"under {self.degradation}"
        tiles = f"tiles of {self.tile}" if self.tile else "no tiles"
        own = ", ".join(f"{name}: {tile}" for name, tile in self.own_tiles.items())
        tiles += f" ({own})" if own else ""
        return f"{count}{self.split} images, {crop}, x{self.scale} {how}, {tiles}"


@dataclass(eq=False)
class Summary:
    """The results on one data set under one degradation.

    Args:
        protocol: what was measured on.
        results: what was measured.
        reference: name of the method that all others are tested against.
    """

    protocol: Protocol
    results: Results
    reference: str

    @property
    def images(self) -> int:
        """How many images were measured."""
        return len(self.results.photos) // len(self.results.means)

    @property
    def title(self) -> str:
        """The table's title."""
        return f"{self.protocol.data}, {self.protocol.describe(self.images)}"

    def labelled(self, row: Row) -> Row:
        """A row of a method with the protocol's columns."""
        return self.protocol.labels(self.images, row["name"]) | row

    @property
    def note(self) -> str:
        """What a star in the table means."""
        return (
            f"{STAR}: differs from {self.reference} with p < {SIGNIFICANT:g} (Wilcoxon's "
            "signed-rank test over photos, Holm's correction for the methods of a column)."
        )

    def rows(self) -> list[Row]:
        """One row per method: the protocol, its name, and the mean of each metric."""
        return [self.labelled(row) for row in self.results.means]

    def markdown(self) -> str:
        """Title, table of means and note."""
        table = markdown_table(self.results.means, self.significant)
        return f"{self.title}\n\n{table}\n\n{self.note}\n"

    def latex(self) -> str:
        """The same for LaTeX."""
        table = latex_table(self.results.means, self.significant)
        return f"% {self.title}; {self.note}\n{table}\n"

    @cached_property
    def statistics(self) -> list[Row]:
        """One row per method and metric.

        The mean with its 95 % confidence interval; for all methods but the reference the mean
        difference from it with its interval, and the p-value after Holm's correction. None stands
        for what cannot be computed from too few photos.
        """
        # Set metrics such as KID have no value per photo and are left out.
        metrics = [name for name in self.results.photos[0] if name not in {"name", "photo"}]
        return [row for metric in metrics for row in self._metric_statistics(metric)]

    def _metric_statistics(self, metric: str) -> Iterator[Row]:
        names = [mean["name"] for mean in self.results.means]
        photos = [(row["name"], row[metric]) for row in self.results.photos]
        values = {name: [value for other, value in photos if other == name] for name in names}
        standard = values[self.reference]
        others = {name: own for name, own in values.items() if name != self.reference}
        p_values = holm({name: paired_p(own, standard) for name, own in others.items()})
        for mean in self.results.means:
            name = mean["name"]
            row = {"name": name, "metric": metric, "mean": mean[metric], **_interval(values[name])}
            if name in others:
                differences = [a - b for a, b in zip(values[name], standard, strict=True)]
                difference = math.fsum(differences) / len(differences)
                row |= {"reference": self.reference, "difference": difference}
                row |= _interval(differences, "difference_") | {"p": p_values[name]}
            yield self.labelled({key: _nan_to_none(value) for key, value in row.items()})

    @property
    def significant(self) -> set[tuple[str, str]]:
        """Method and metric of every significant difference from the reference."""
        compared = [row for row in self.statistics if row.get("p") is not None]
        return {(row["name"], row["metric"]) for row in compared if row["p"] < SIGNIFICANT}


def _interval(values: Sequence[float], prefix: str = "") -> Row:
    low, high = confidence_interval(values)
    return {f"{prefix}low": low, f"{prefix}high": high}


def _nan_to_none(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def write_results(folder: Path, summary: Summary) -> None:
    """Write the tables, the statistics and the values per photo; print the table."""
    write_json(folder / "table.json", summary.rows())
    write_json(folder / "statistics.json", summary.statistics)
    write_text(folder / "table.md", summary.markdown())
    write_text(folder / "table.tex", summary.latex())
    photos = [
        {key: quoted_text(cell) for key, cell in summary.labelled(row).items()}
        for row in summary.results.photos
    ]
    with (
        atomic_file(folder / "photos.csv") as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(photos[0]))
        writer.writeheader()
        writer.writerows(photos)
    print_table(summary.title, summary.results.means, summary.significant)
    log.info("%s", summary.note)
    log.info("written to %s", folder)


def write_overview(folder: Path, summaries: Sequence[Summary]) -> None:
    """Write the tables of all data sets together: `tables.json`, `tables.md`, `tables.tex`."""
    write_json(folder / "tables.json", [row for summary in summaries for row in summary.rows()])
    write_text(folder / "tables.md", "\n".join(summary.markdown() for summary in summaries))
    write_text(folder / "tables.tex", "\n".join(summary.latex() for summary in summaries))
    log.info("all tables: %s", folder / "tables.md")

"""An evaluation's task: all methods on one data set under one degradation, with its files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from srlit.evaluation.draws_file import RecordedDraws
from srlit.evaluation.figures import Figure
from srlit.evaluation.measure import Measurement, Unreadable
from srlit.evaluation.methods import Interpolation
from srlit.evaluation.plots import plot_tradeoff, write_maps
from srlit.evaluation.results_cache import ResultsCache
from srlit.evaluation.robustness import grid_settings, robustness_maps
from srlit.evaluation.summary import Protocol, Summary, write_results
from srlit.evaluation.tables import Row
from srlit.metrics.suite import MetricSuite
from srlit.utils.atomic import write_json

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Task(Measurement):
    """A measurement whose protocol is stated in its files, and whose cache is in their folder.

    Args:
        protocol: the data set and how it is measured.
        rejected: photos that cannot be used, each with the reason; more may fail on the way.
        folder: where the results go; set by `use_folder`.
    """

    protocol: Protocol
    rejected: Unreadable
    folder: Path = Path()

    def use_folder(self, folder: Path, *, alone: bool) -> None:
        """Write the results to a folder, and continue with what it holds.

        Args:
            folder: the evaluation's folder.
            alone: whether this is its only task; others get a folder of their own in it.
        """
        name = f"{self.protocol.data}_{self.protocol.degradation}"
        self.folder = folder if alone else folder / name
        self.cache = ResultsCache(self.folder / "measured.jsonl", self.cache.context)

    def tables(self, reference: str, *, images: int, replay: Path | None) -> Summary:
        """Measure all methods; write tables, comparison images and draws.

        Args:
            reference: name of the method that all others are tested against.
            images: number of comparison images.
            replay: a `draws.json` to take the degradation's draws from.
        """
        log.info("%s: %d photos", self.folder.name, len(self.photos.photos))
        draws = RecordedDraws(self.degradation, replay)
        folder = self.folder / "images"
        results = replace(self, draws=draws, image_folder=folder, image_count=images).results()
        self.rejected += results.unreadable
        draws.write(self.folder / "draws.json")
        summary = Summary(self.protocol, results, reference)
        write_results(self.folder, summary)
        return summary

    def robustness(self, grid: Mapping[str, Sequence[float]], metric: str) -> None:
        """Measure every cell of a grid; `robustness.json` and one plot per map."""
        settings, means = grid_settings(grid), []
        for number, setting in enumerate(settings, 1):
            log.info("cell %d of %d: %s", number, len(settings), setting)
            draws = RecordedDraws(self.degradation, setting=setting)
            results = replace(self, draws=draws).results()
            self.rejected += results.unreadable
            means.append({row["name"]: row[metric] for row in results.means})
        labels = self.protocol.labels(len(self.photos.photos))
        title = f"{self.protocol.data} {self.protocol.degradation}"
        write_maps(self.folder, title, robustness_maps(grid, metric, means), labels)

    def figures(self, figures: Mapping[str, Figure]) -> None:
        """Draw the comparison images of figures; existing ones are kept."""
        for name, figure in figures.items():
            folder, count = self.folder / "figures" / name, figure.photos
            photos = self.photos.first(count, crop=None if figure.whole else self.photos.crop)
            columns = figure.columns(self.methods)
            measured = replace(self, photos=photos, methods=columns, metrics=MetricSuite(names=[]))
            drawn = replace(measured, image_folder=folder, image_count=count).results()
            self.rejected += drawn.unreadable
            log.info("figure: %s", folder)

    def interpolation(self, between: Interpolation, means: Sequence[Row]) -> list[Row]:
        """Write `interpolation.json` and the perception-distortion curve `interpolation.png`.

        Returns:
            The rows of the networks between the two checkpoints.
        """
        alphas = between.named_alphas
        rows = [row for row in means if row["name"] in alphas]
        weights = [alphas[row["name"]] for row in rows]
        metrics = [{k: v for k, v in row.items() if k != "name"} for row in rows]
        points = [
            {"weight": w, "metrics": m, "protocol": self.protocol.labels(len(self.photos.photos))}
            for w, m in zip(weights, metrics, strict=True)
        ]
        write_json(self.folder / "interpolation.json", points)
        shown = [{"name": f"{w:g}", **m} for w, m in zip(weights, metrics, strict=True)]
        plot_tradeoff(self.folder / "interpolation.png", shown, line=True)
        return rows

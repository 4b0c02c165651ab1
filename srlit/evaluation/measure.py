"""Every method on every photo: values per photo, their means, comparison images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track

from srlit.data.datasets import EvaluationPhotos
from srlit.data.photo_file import PhotoError, printable
from srlit.data.transforms import evaluation_pair
from srlit.degradation.pipeline import Degradation
from srlit.evaluation.batches import PreparedBatch, Unreadable, prepared_batches
from srlit.evaluation.comparison_images import ComparisonImages, comparison
from srlit.evaluation.draws_file import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.evaluation.tables import Row
from srlit.inference.image_files import write_image
from srlit.inference.upscalers import Upscaler
from srlit.metrics.fid_kid import SetMeasures
from srlit.metrics.suite import MetricSuite

NO_IMAGES = ComparisonImages(Path(), 0)


class Results(NamedTuple):
    """What an evaluation measured.

    Attributes:
        means: one row per method: its name and the mean of each metric.
        photos: one row per method and photo.
        unreadable: photos that could not be read, each with the reason.
    """

    means: list[Row]
    photos: list[Row]
    unreadable: Unreadable


@dataclass(kw_only=True, eq=False)
class Measurement:
    """Degrades each photo, restores it by every method, compares with the original.

    What the cache holds is not computed again, and every new value is added to it at once.

    Args:
        methods: upscalers with different names.
        photos: the data set; a photo that cannot be read is left out and reported.
        degradation: how LR images are made.
        metrics: what is measured.
        device: where everything is computed.
        images: draws comparison images.
        draws: supplies and records the degradation's parameters; None: by the photos' keys.
        cache: earlier results.
    """

    methods: Sequence[Upscaler]
    photos: EvaluationPhotos
    degradation: Degradation
    metrics: MetricSuite
    device: torch.device
    images: ComparisonImages = NO_IMAGES
    draws: RecordedDraws | None = None
    cache: ResultsCache = field(default_factory=ResultsCache)

    def results(self) -> Results:
        """Measure everything.

        Raises:
            PhotoError: no photo could be read.
        """
        draws = self.draws or RecordedDraws(self.degradation)
        set_metrics, names = self.metrics.over_set(), self.metrics.names
        rows: list[Row] = []
        unreadable: Unreadable = []
        batches = prepared_batches(self.photos, self.device, draws, self.cache, unreadable)
        for batch in track(batches, "measuring", len(self.photos), transient=True):
            self._measure(batch, set_metrics)
            rows += [
                {"name": method.name, "photo": printable(photo.path.name)}
                | self.cache.get(method.fingerprint, key, names)
                for method in self.methods
                for photo, key in zip(batch.files, batch.fingerprints, strict=True)
            ]
        if not rows:
            raise PhotoError(f"no photo could be read: {unreadable[0][1]}")
        of_sets = set_metrics.compute()
        means = [_means(m.name, rows, names) | of_sets.get(m.name, {}) for m in self.methods]
        return Results(means, rows, unreadable)

    def _measure(self, batch: PreparedBatch, set_metrics: SetMeasures) -> None:
        """Measure what the cache lacks, and draw the images that are missing.

        Set metrics have no value per photo to cache: they need every image.
        """
        cache, names, keys = self.cache, self.metrics.names, batch.fingerprints
        unknown = [
            method
            for method in self.methods
            if not all(cache.has(method.fingerprint, key, names) for key in keys)
        ]
        missing = self.images.missing(batch, self.methods, cache)
        if not (unknown or missing or set_metrics.asked):
            return
        lr, hr = evaluation_pair(batch.photos, self.degradation, batch.draws)
        needed = self.methods if missing or set_metrics.asked else unknown
        restored = {method.name: method(lr) for method in needed}
        set_metrics.update(restored, hr)
        compare = self.metrics.against(hr, lr)
        for method in unknown:
            measured = compare(restored[method.name])
            columns = {name: column.tolist() for name, column in measured.items()}
            for position, key in enumerate(keys):
                values = {name: column[position] for name, column in columns.items()}
                cache.add(method.fingerprint, key, values)
        shown = {"LR": lr, **restored, "HR": hr}
        for position, path in missing.items():
            strip = comparison({name: each[position] for name, each in shown.items()})
            write_image(path, strip[None])
            cache.add(self.images.fingerprint(self.methods), keys[position], {})


def _means(method: str, rows: list[Row], metrics: list[str]) -> Row:
    own = [row for row in rows if row["name"] == method]
    return {"name": method} | {m: math.fsum(row[m] for row in own) / len(own) for m in metrics}

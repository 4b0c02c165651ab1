"""Every method on every photo: values per photo, their means, comparison images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track

from srlit.data.datasets import EvaluationPhotos
from srlit.data.photo_file import PhotoError, printable
from srlit.data.transforms import evaluation_pair
from srlit.degradation.pipeline import Degradation
from srlit.evaluation.batches import PreparedBatch, Unreadable, prepared_batches
from srlit.evaluation.comparison_images import ComparisonImages
from srlit.evaluation.draws_file import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.evaluation.tables import Row
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


def measure(
    methods: Sequence[Upscaler],
    photos: EvaluationPhotos,
    degradation: Degradation,
    metrics: MetricSuite,
    device: torch.device,
    *,
    images: ComparisonImages = NO_IMAGES,
    draws: RecordedDraws | None = None,
    cache: ResultsCache | None = None,
) -> Results:
    """Degrade each photo, restore it by every method, compare with the original.

    What the cache holds is not computed again, and every new value is added to it at once.

    Args:
        methods: upscalers with different names.
        photos: the data set; a photo that cannot be read is left out and reported.
        degradation: how LR images are made.
        metrics: what is measured.
        device: where everything is computed.
        images: draws comparison images.
        draws: supplies and records the degradation's parameters; None: by the photos' keys.
        cache: earlier results; None: in memory only.

    Raises:
        PhotoError: no photo could be read.
    """
    draws = draws or RecordedDraws(degradation)
    cache = cache or ResultsCache()
    set_metrics = metrics.over_set()
    rows: list[Row] = []
    unreadable: Unreadable = []
    batches = prepared_batches(photos, device, draws, cache, unreadable)
    for batch in track(batches, "measuring", len(photos), transient=True):
        _measure_batch(batch, methods, degradation, metrics, set_metrics, cache, images)
        rows += [
            {"name": method.name, "photo": printable(photo.path.name)}
            | cache.get(method.fingerprint, key, metrics.names)
            for method in methods
            for photo, key in zip(batch.files, batch.fingerprints, strict=True)
        ]
    if not rows:
        raise PhotoError(f"no photo could be read: {unreadable[0][1]}")
    of_sets = set_metrics.compute()
    means = [_means(m.name, rows, metrics.names) | of_sets.get(m.name, {}) for m in methods]
    return Results(means, rows, unreadable)


def _measure_batch(
    batch: PreparedBatch,
    methods: Sequence[Upscaler],
    degradation: Degradation,
    metrics: MetricSuite,
    set_metrics: SetMeasures,
    cache: ResultsCache,
    images: ComparisonImages,
) -> None:
    """Measure what the cache lacks, and draw the images that are missing.

    Set metrics have no value per photo to cache: they need every image.
    """
    unknown = [
        method
        for method in methods
        if not all(cache.has(method.fingerprint, key, metrics.names) for key in batch.fingerprints)
    ]
    missing = images.missing(batch, methods, cache)
    if not (unknown or missing or set_metrics.asked):
        return
    lr, hr = evaluation_pair(batch.photos, degradation, batch.draws)
    needed = methods if missing or set_metrics.asked else unknown
    restored = {method.name: method(lr) for method in needed}
    set_metrics.update(restored, hr)
    compare = metrics.against(hr, lr)
    for method in unknown:
        columns = {name: column.tolist() for name, column in compare(restored[method.name]).items()}
        for position, key in enumerate(batch.fingerprints):
            values = {name: column[position] for name, column in columns.items()}
            cache.add(method.fingerprint, key, values)
    images.write(batch, missing, methods, {"LR": lr, **restored, "HR": hr}, cache)


def _means(method: str, rows: list[Row], metrics: list[str]) -> Row:
    own = [row for row in rows if row["name"] == method]
    return {"name": method} | {m: math.fsum(row[m] for row in own) / len(own) for m in metrics}

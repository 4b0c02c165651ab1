"""Every method on every photo: mean values, values a photo, comparison pictures.

What a ledger knows is not computed again, and what is found goes into it at once: an evaluation
that was stopped goes on, and one more method costs only itself.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import Progress
from torch import Tensor

from srlit.data import EvaluationPhotos, PhotoError
from srlit.data.photo import show
from srlit.data.transforms import evaluation_pair
from srlit.degradation import Degradation
from srlit.evaluation.batches import Drawn, readable
from srlit.evaluation.comparison_images import Pictures
from srlit.evaluation.recorded_draws import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.evaluation.tables import Row
from srlit.inference.upscalers import Upscaler
from srlit.metrics.fid_kid import SetMeasures
from srlit.metrics.suite import MetricSuite


class Measured(NamedTuple):
    """What was found.

    Attributes:
        means: a row a method: its name and the mean of each metric.
        photos: a row a method and photo.
        unreadable: photos that could not be read any more, each with the reason.
    """

    means: list[Row]
    photos: list[Row]
    unreadable: list[tuple[Path, str]]


def measure(
    methods: Sequence[Upscaler],
    photos: EvaluationPhotos,
    degradation: Degradation,
    metrics: MetricSuite,
    device: torch.device,
    *,
    pictures: Pictures | None = None,
    book: RecordedDraws | None = None,
    ledger: ResultsCache | None = None,
) -> Measured:
    """Degrade each photo, restore it by every method, compare with the original.

    Args:
        methods: restorers of different names.
        photos: what is measured on; one that cannot be read is left out and reported.
        degradation: what the photos go through.
        metrics: what is measured.
        device: where all of it is computed.
        pictures: where to draw LR, every method and HR side by side.
        book: gives and keeps what is drawn for each photo; the degradation's own without it.
        ledger: what was measured before, and where all else is noted.

    Raises:
        PhotoError: no photo could be read.
    """
    book = book or RecordedDraws(degradation)
    ledger = ledger or ResultsCache()
    pictures = pictures or Pictures(Path(), 0)
    over_set = metrics.over_set()
    rows: list[Row] = []
    unreadable: list[tuple[Path, str]] = []
    with Progress(transient=True) as progress:
        bar = progress.add_task("measuring", total=len(photos.photos))
        for indices, read in readable(photos, device, unreadable):
            files = [photos.photos[index] for index in indices]
            batch = Drawn.of(indices, files, read.each(lambda part: part.to(device)), book, ledger)
            _measure_batch(batch, methods, degradation, metrics, over_set, ledger, pictures)
            rows += [
                {"name": method.name, "photo": show(photo.path.name)}
                | ledger.known(method.fingerprint, key, metrics.names)
                for method in methods
                for photo, key in zip(files, batch.prints, strict=True)
            ]
            progress.advance(bar, len(indices))
    if not rows:
        msg = f"no photo could be read: {unreadable[0][1]}"
        raise PhotoError(msg)
    of_sets = over_set.compute()
    means = [_mean(m.name, rows, metrics.names) | of_sets.get(m.name, {}) for m in methods]
    return Measured(means, rows, unreadable)


def _measure_batch(
    batch: Drawn,
    methods: Sequence[Upscaler],
    degradation: Degradation,
    metrics: MetricSuite,
    over_set: SetMeasures,
    ledger: ResultsCache,
    pictures: Pictures,
) -> None:
    """Measure what the ledger lacks, and draw the pictures that are missing.

    Metrics of whole sets see every image anew: no value a photo tells them.
    """
    unknown = [
        method
        for method in methods
        if any(ledger.find(method.fingerprint, p, metrics.names) is None for p in batch.prints)
    ]
    undrawn = pictures.missing(batch, methods, ledger)
    if not (unknown or undrawn or over_set.asked):
        return
    lr, hr = evaluation_pair(batch.photos, degradation, batch.draws)
    shown = methods if undrawn or over_set.asked else unknown
    restored = {method.name: method(lr) for method in shown}
    over_set.update(restored, hr)
    targets = metrics.against(hr, lr)
    for method in unknown:
        values = targets(restored[method.name])
        for photo, row in zip(batch.prints, _by_photo(values), strict=True):
            ledger.add(method.fingerprint, photo, row)
    pictures.draw(batch, undrawn, methods, {"LR": lr, **restored, "HR": hr}, ledger)


def _by_photo(values: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """A table a photo, from one column a metric."""
    columns = {name: column.tolist() for name, column in values.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _mean(method: str, rows: list[Row], metrics: list[str]) -> Row:
    own = [row for row in rows if row["name"] == method]
    means = {metric: math.fsum(row[metric] for row in own) / len(own) for metric in metrics}
    return {"name": method} | means

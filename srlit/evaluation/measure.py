"""Every method on every photo: values per photo, their means, comparison images."""

import logging
import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from itertools import chain, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.progress import track

from srlit import __version__
from srlit.data.audit import Photo
from srlit.data.datasets import EvaluationPhotos
from srlit.data.photo_file import PhotoError, failure, printable
from srlit.data.transforms import evaluation_pair
from srlit.degradation.pipeline import Degradation
from srlit.evaluation.draws_file import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.evaluation.tables import Row
from srlit.inference.image_files import write_image
from srlit.inference.upscalers import Upscaler
from srlit.metrics.fid_kid import SetMeasures
from srlit.metrics.suite import MetricSuite
from srlit.ops.image_grid import comparison
from srlit.ops.ragged_batch import Params
from srlit.types import Photos
from srlit.utils.atomic import DiskError
from srlit.utils.fingerprint import fingerprint

log = logging.getLogger(__name__)

MAX_NAME = 50  # characters of a photo's name in the file name of its comparison image
Unreadable = list[tuple[Path, str]]
Readable = list[tuple[list[int], Photos]]


class Results(NamedTuple):
    """What an evaluation measured.

    Attributes:
        means: one row per method: its name and the mean of each metric.
        photos: one row per method and photo.
        unreadable: photos that could not be read or measured, each with the reason.
    """

    means: list[Row]
    photos: list[Row]
    unreadable: Unreadable


class PreparedBatch(NamedTuple):
    """A batch of photos on the device, ready to be degraded.

    Attributes:
        indices: the photos' positions in the data set.
        files: the photos' files.
        photos: their pixels and keys.
        draws: the parameters of their degradation; None for real pairs.
        fingerprints: identify each photo's degraded pixels in the results cache.
    """

    indices: list[int]
    files: list[Photo]
    photos: Photos
    draws: Params | None
    fingerprints: list[str]

    def singles(self) -> "Iterator[PreparedBatch]":
        """A batch of each photo."""
        for number in range(len(self.files)):
            own = itemgetter(slice(number, number + 1))
            draws = self.draws and {name: own(values) for name, values in self.draws.items()}
            parts = own(self.indices), own(self.files), self.photos.each(own), draws
            yield PreparedBatch(*parts, own(self.fingerprints))


@dataclass(eq=False)
class Measurement:
    """Degrades each photo, restores it by every method, compares with the original.

    What the cache holds is not computed again, and every new value is added to it at once.

    Args:
        photos: the data set; a photo that any part fails on is left out and reported.
        degradation: how LR images are made.
        methods: upscalers with different names.
        metrics: what is measured.
        device: where everything is computed.
        image_folder: where comparison images go: LR, every method and HR of a photo.
        image_count: how many of the first photos get one.
        draws: supplies and records the degradation's parameters; None: by the photos' keys.
        cache: earlier results; its context becomes part of the photos' fingerprints.
    """

    photos: EvaluationPhotos
    degradation: Degradation
    methods: Sequence[Upscaler]
    metrics: MetricSuite
    _: KW_ONLY
    device: torch.device
    image_folder: Path = Path()
    image_count: int = 0
    draws: RecordedDraws | None = None
    cache: ResultsCache = field(default_factory=ResultsCache)

    def results(self) -> Results:
        """Measure everything.

        Raises:
            PhotoError: no photo could be measured.
        """
        set_metrics, names = self.metrics.over_set(), self.metrics.names
        rows: list[Row] = []
        unreadable: Unreadable = []
        batches = self._batches(unreadable)
        for batch in track(batches, "measuring", len(self.photos), transient=True):
            rows += self._rows(batch, set_metrics, unreadable)
        if names and not rows:
            raise PhotoError(f"no photo could be measured: {unreadable[0][1]}")
        of_sets = set_metrics.compute()
        means = [_means(m.name, rows, names) | of_sets.get(m.name, {}) for m in self.methods]
        return Results(means, rows, unreadable)

    def _batches(self, unreadable: Unreadable) -> Iterator[PreparedBatch]:
        """All batches of the data set; receives each photo that cannot be read in `unreadable`."""
        draws = self.draws or RecordedDraws(self.degradation)
        # On a CPU a reader thread would take a core from the computation, which uses all of them.
        mapped: Callable[..., Any] = map if self.device.type == "cpu" else _map_ahead
        read = partial(_read, self.photos, unreadable)
        for indices, batch in chain.from_iterable(mapped(read, self.photos.groups)):
            yield self._prepare(indices, batch.each(lambda part: part.to(self.device)), draws)

    def _prepare(self, indices: list[int], photos: Photos, draws: RecordedDraws) -> PreparedBatch:
        files = [self.photos.photos[index] for index in indices]
        size = photos.pixels.shape[-2], photos.pixels.shape[-1]
        params: Params | None = None
        records: list[dict[str, Any]] = [{} for _ in files]
        if photos.lr is None:
            params = draws.draw([printable(file.path.name) for file in files], size, photos.keys)
            records = [record["draws"] for record in draws.photos[-len(files) :]]
        fingerprints = [
            fingerprint(__version__, self.cache.context, *_digests(file), size, record)
            for file, record in zip(files, records, strict=True)
        ]
        return PreparedBatch(indices, files, photos, params, fingerprints)

    def _rows(
        self, batch: PreparedBatch, set_metrics: SetMeasures, unreadable: Unreadable
    ) -> list[Row]:
        """One row per method and photo; photos of a batch that fails are measured one by one."""
        path = batch.files[0].path
        try:
            self._measure(batch, set_metrics)
        except DiskError:
            raise
        except Exception as error:  # noqa: BLE001 - no photo ends the others: memory, ONNX, NaN
            reason = failure(path, error)
        else:
            return [
                {"name": method.name, "photo": printable(photo.path.name)}
                | self.cache.get(method.fingerprint, key, self.metrics.names)
                for method in self.methods
                for photo, key in zip(batch.files, batch.fingerprints, strict=True)
            ]
        # Only here, without the error, is the memory of what failed free again.
        if len(batch.files) > 1:
            parts = [self._rows(one, set_metrics, unreadable) for one in batch.singles()]
            return list(chain.from_iterable(parts))
        log.error(reason)
        unreadable.append((path, reason))
        return []

    def _measure(self, batch: PreparedBatch, set_metrics: SetMeasures) -> None:
        """Measure what the cache lacks, and draw the images that are missing.

        Set metrics have no value per photo to cache: they need every image.
        """
        cache, names, keys = self.cache, self.metrics.names, batch.fingerprints
        unknown = [m for m in self.methods if not cache.has(m.fingerprint, keys, names)]
        missing = self._missing_images(batch)
        if not (unknown or missing or set_metrics.asked):
            return
        lr, hr = evaluation_pair(batch.photos, self.degradation, batch.draws)
        needed = self.methods if missing or set_metrics.asked else unknown
        restored = {method.name: method(lr) for method in needed}
        compare = self.metrics.against(hr, lr)
        for method in unknown:
            columns = {n: column.tolist() for n, column in compare(restored[method.name]).items()}
            for key, *values in zip(keys, *columns.values(), strict=True):
                cache.add(method.fingerprint, key, dict(zip(columns, values, strict=True)))
        shown = {"LR": lr, **restored, "HR": hr}
        for position, path in missing.items():
            strip = comparison({name: each[position] for name, each in shown.items()})
            write_image(path, strip[None])
            cache.add(self._image_fingerprint, keys[position], {})
        set_metrics.update(restored, hr)  # last, so that no photo counts that failed before

    def _missing_images(self, batch: PreparedBatch) -> dict[int, Path]:
        """Position in the batch to path of each image that is absent or shows something else."""
        shown = [index for index in batch.indices if index < self.image_count]
        missing = {}
        for position, index in enumerate(shown):
            name, key = batch.files[position].path.stem[:MAX_NAME], batch.fingerprints[position]
            path = self.image_folder / f"{index:03}_{name}.png"
            if not (path.exists() and self.cache.has(self._image_fingerprint, [key])):
                missing[position] = path
        return missing

    @cached_property
    def _image_fingerprint(self) -> str:
        """Identifies in the cache what the comparison images of these methods show."""
        columns = [(method.name, method.fingerprint) for method in self.methods]
        return fingerprint("comparison image", self.image_folder.name, columns)


def _read(photos: EvaluationPhotos, unreadable: Unreadable, indices: list[int]) -> Readable:
    """A batch; photos of a batch with an unreadable one are read one by one."""
    try:
        return [(indices, photos.read(indices))]
    except Exception as error:  # noqa: BLE001 - no photo ends the others
        if len(indices) > 1:
            return [one for index in indices for one in _read(photos, unreadable, [index])]
        path = photos.photos[indices[0]].path
        unreadable.append((path, failure(path, error)))
        log.error(unreadable[-1][1])  # noqa: TRY400 - of the photo, none of the program
        return []


def _map_ahead(read: Callable[[list[int]], Readable], parts: list[list[int]]) -> Iterator[Readable]:
    """Like `map`, but the next item is computed in a thread while the current one is used."""
    with ThreadPoolExecutor(1) as reader:
        futures: Iterator[Any] = (reader.submit(read, indices) for indices in parts)
        for current, _ in pairwise(chain(futures, [None])):
            yield current.result()


def _digests(file: Photo) -> tuple[str, str | None]:
    """Digests of a photo's pixels; those without one are taken to differ from all others."""
    partner = file.lr and (file.lr.digest or secrets.token_hex())
    return file.digest or secrets.token_hex(), partner


def _means(method: str, rows: list[Row], metrics: list[str]) -> Row:
    own = [row for row in rows if row["name"] == method]
    return {"name": method} | {m: math.fsum(row[m] for row in own) / len(own) for m in metrics}

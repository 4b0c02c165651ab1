"""Batches of an evaluation: read ahead, moved to the device, with draws and fingerprints."""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from srlit import __version__
from srlit.data.audit import Photo
from srlit.data.datasets import EvaluationPhotos
from srlit.data.photo_file import PhotoError, printable
from srlit.evaluation.draws_file import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.ops.ragged_batch import Params
from srlit.types import Photos
from srlit.utils.fingerprint import fingerprint

log = logging.getLogger(__name__)

Unreadable = list[tuple[Path, str]]
Reading = Callable[[], Photos]


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


def prepared_batches(
    photos: EvaluationPhotos,
    device: torch.device,
    draws: RecordedDraws,
    cache: ResultsCache,
    unreadable: Unreadable,
) -> Iterator[PreparedBatch]:
    """All batches of a data set.

    Args:
        photos: the data set.
        device: where the batches go.
        draws: draws and records the parameters of the degradation.
        cache: its context becomes part of the fingerprints.
        unreadable: receives each photo that cannot be read, with the reason.
    """
    # On a CPU a reader thread would take a core from the computation, which uses all of them.
    on_demand = (partial(photos.read, indices) for indices in photos.groups)
    readings = on_demand if device.type == "cpu" else _read_ahead(photos)
    for indices, batch in _readable_batches(photos, photos.groups, readings, unreadable):
        files = [photos.photos[index] for index in indices]
        on_device = batch.each(lambda part: part.to(device))
        size = batch.pixels.shape[-2], batch.pixels.shape[-1]
        params: Params | None = None
        records: list[dict[str, Any]] = [{} for _ in files]
        if batch.lr is None:
            params = draws.draw([printable(file.path.name) for file in files], size, on_device.keys)
            records = [record["draws"] for record in draws.photos[-len(files) :]]
        fingerprints = [
            fingerprint(__version__, cache.context, *_digests(file), size, record)
            for file, record in zip(files, records, strict=True)
        ]
        yield PreparedBatch(indices, files, on_device, params, fingerprints)


def _digests(file: Photo) -> tuple[str, str | None]:
    """Digests of a photo's pixels; those without one are taken to differ from all others."""
    partner = file.lr and (file.lr.digest or secrets.token_hex())
    return file.digest or secrets.token_hex(), partner


def _read_ahead(photos: EvaluationPhotos) -> Iterator[Reading]:
    """Reads each batch while the previous one is measured."""
    with ThreadPoolExecutor(1) as reader:
        futures: Iterator[Any] = (reader.submit(photos.read, indices) for indices in photos.groups)
        for current, _ in pairwise(chain(futures, [None])):
            yield current.result


def _readable_batches(
    photos: EvaluationPhotos,
    groups: Iterable[list[int]],
    readings: Iterable[Reading],
    unreadable: Unreadable,
) -> Iterator[tuple[list[int], Photos]]:
    """The batches; photos of a batch with an unreadable one are read one by one."""
    for indices, reading in zip(groups, readings, strict=True):
        try:
            yield indices, reading()
        except PhotoError as error:
            if len(indices) > 1:
                singles = [[index] for index in indices]
                again = [partial(photos.read, single) for single in singles]
                yield from _readable_batches(photos, singles, again, unreadable)
            else:
                log.error("%s", error)  # noqa: TRY400 - a broken photo, no error of the program
                unreadable.append((photos.photos[indices[0]].path, str(error)))

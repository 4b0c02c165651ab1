"""The photos of an evaluation as they come: read, drawn for, told from all others."""

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from srlit import __version__
from srlit.data import EvaluationPhotos, PhotoError
from srlit.data.audit import Photo
from srlit.data.photo import show
from srlit.evaluation.recorded_draws import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.ops.ragged_batch import Params
from srlit.types import Photos
from srlit.utils.fingerprint import fingerprint

log = logging.getLogger(__name__)


def readable(
    photos: EvaluationPhotos, device: torch.device, unreadable: list[tuple[Path, str]]
) -> Iterator[tuple[list[int], Photos]]:
    """The batches; where one has a photo that cannot be read, its photos are tried one by one."""
    readings = _in_turn(photos) if device.type == "cpu" else _ahead(photos)
    for indices, reading in zip(photos.groups, readings, strict=True):
        try:
            yield indices, reading()
        except PhotoError:
            yield from _one_by_one(photos, indices, unreadable)


def _in_turn(photos: EvaluationPhotos) -> Iterator[Callable[[], Photos]]:
    """Each batch is read when it is asked for.

    A CPU computes with all its cores, which wait for the slowest: a reader beside them costs more
    than it saves.
    """
    for indices in photos.groups:
        yield partial(photos.read, indices)


def _ahead(photos: EvaluationPhotos) -> Iterator[Callable[[], Photos]]:
    """Each batch is read while the one before is measured."""
    with ThreadPoolExecutor(1) as reader:
        current = reader.submit(photos.read, photos.groups[0])
        for indices in photos.groups[1:]:
            following = reader.submit(photos.read, indices)
            yield current.result
            current = following
        yield current.result


def _one_by_one(
    photos: EvaluationPhotos, indices: Sequence[int], unreadable: list[tuple[Path, str]]
) -> Iterator[tuple[list[int], Photos]]:
    for index in indices:
        try:
            batch = photos.read([index])
        except PhotoError as error:
            log.error("%s", error)  # noqa: TRY400 - a broken photo, no error of the program
            unreadable.append((photos.photos[index].path, str(error)))
        else:
            yield [index], batch


class Drawn(NamedTuple):
    """A batch of photos on the device, and what is drawn for their degradation.

    Attributes:
        indices: the photos' numbers.
        files: where they come from.
        photos: their pixels and keys.
        draws: what is drawn for each; None for real pairs.
        prints: by which fingerprint the ledger knows each.
    """

    indices: list[int]
    files: list[Photo]
    photos: Photos
    draws: Params | None
    prints: list[str]

    @classmethod
    def of(
        cls,
        indices: list[int],
        files: list[Photo],
        photos: Photos,
        book: RecordedDraws,
        ledger: ResultsCache,
    ) -> "Drawn":
        """Draw for a batch, and find the fingerprints of all that its degraded pixels hang on."""
        h, w = photos.pixels.shape[-2:]
        if photos.lr is None:
            draws = book.draws([show(photo.path.name) for photo in files], (h, w), photos.keys)
            told = [record["draws"] for record in book.photos[-len(files) :]]
        else:
            draws, told = None, [{} for _ in files]
        prints = [
            # Pixels that nobody has a digest of are like no other.
            fingerprint(
                __version__,
                ledger.context,
                photo.digest or secrets.token_hex(),
                photo.lr and (photo.lr.digest or secrets.token_hex()),
                [h, w],
                record,
            )
            for photo, record in zip(files, told, strict=True)
        ]
        return cls(indices, files, photos, draws, prints)

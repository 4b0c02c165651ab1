"""Every method on every photo: mean values, values a photo, comparison pictures.

What a ledger knows is not computed again, and what is found goes into it at once: an evaluation
that was stopped goes on, and one more method costs only itself.
"""

import logging
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import Progress
from torch import Tensor

from srlit import __version__
from srlit.data import EvaluationPhotos, PhotoError
from srlit.data.index import Photo
from srlit.data.pairs import evaluation_pair
from srlit.data.photo import show
from srlit.degradation import Degradation
from srlit.inference.compare import comparison
from srlit.inference.files import write_image
from srlit.inference.ledger import Ledger, fingerprint
from srlit.inference.replay import DrawBook
from srlit.inference.restorers import Restorer
from srlit.inference.tables import Row
from srlit.metrics import MetricSuite
from srlit.metrics.sets import SetMeasures
from srlit.ops.canvas import Params
from srlit.types import Photos

log = logging.getLogger(__name__)

LONGEST = 50  # letters of a photo's name in the name of its picture


class Pictures(NamedTuple):
    """Where comparison pictures go.

    Attributes:
        folder: the folder.
        most: how many of the first photos to draw.
    """

    folder: Path
    most: int


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
    methods: Sequence[Restorer],
    photos: EvaluationPhotos,
    degradation: Degradation,
    metrics: MetricSuite,
    device: torch.device,
    *,
    pictures: Pictures | None = None,
    book: DrawBook | None = None,
    ledger: Ledger | None = None,
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
    book = book or DrawBook(degradation)
    ledger = ledger or Ledger()
    pictures = pictures or Pictures(Path(), 0)
    over_set = metrics.over_set()
    rows: list[Row] = []
    unreadable: list[tuple[Path, str]] = []
    with Progress(transient=True) as progress:
        bar = progress.add_task("measuring", total=len(photos.photos))
        for indices, read in _readable(photos, device, unreadable):
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


# -- reading ------------------------------------------------------------------------------------


def _readable(
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
        cls, indices: list[int], files: list[Photo], photos: Photos, book: DrawBook, ledger: Ledger
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


# -- measuring ----------------------------------------------------------------------------------


def _measure_batch(
    batch: Drawn,
    methods: Sequence[Restorer],
    degradation: Degradation,
    metrics: MetricSuite,
    over_set: SetMeasures,
    ledger: Ledger,
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
    drawn_as = fingerprint("picture", [(method.name, method.fingerprint) for method in methods])
    undrawn = {
        position: path
        for position, path in enumerate(_picture_paths(batch, pictures))
        if not (path.exists() and ledger.find(drawn_as, batch.prints[position], ()) is not None)
    }
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
    for position, path in undrawn.items():
        columns = {"LR": lr, **restored, "HR": hr}
        strip = comparison({name: images[position] for name, images in columns.items()})
        write_image(path, strip[None])
        ledger.add(drawn_as, batch.prints[position], {})


def _picture_paths(batch: Drawn, pictures: Pictures) -> list[Path]:
    """Where the pictures of a batch go: of its first photos only, or of none."""
    return [
        pictures.folder / f"{index:03}_{photo.path.stem[:LONGEST]}.png"
        for index, photo in zip(batch.indices, batch.files, strict=True)
        if index < pictures.most
    ]


def _by_photo(values: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """A table a photo, from one column a metric."""
    columns = {name: column.tolist() for name, column in values.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _mean(method: str, rows: list[Row], metrics: list[str]) -> Row:
    own = [row for row in rows if row["name"] == method]
    means = {metric: math.fsum(row[metric] for row in own) / len(own) for metric in metrics}
    return {"name": method} | means

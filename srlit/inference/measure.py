"""Every method on every photo: mean values, values a photo, comparison pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from srlit.data.pairs import evaluation_pair
from srlit.data.photo import show
from srlit.degradation import Degradation
from srlit.inference.compare import comparison
from srlit.inference.files import write_image
from srlit.inference.replay import DrawBook
from srlit.inference.restorers import Restorer
from srlit.inference.tables import Row
from srlit.metrics import MetricSuite
from srlit.types import Photos

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
    """

    means: list[Row]
    photos: list[Row]


def measure(
    methods: Sequence[Restorer],
    loader: DataLoader[Photos],
    degradation: Degradation,
    metrics: MetricSuite,
    device: torch.device,
    pictures: Pictures | None = None,
    book: DrawBook | None = None,
) -> Measured:
    """Degrade each photo, restore it by every method, compare with the original.

    Args:
        methods: restorers of different names.
        loader: of an `EvaluationPhotos` data set, in order.
        degradation: what the photos go through.
        metrics: what is measured.
        device: where all of it is computed.
        pictures: where to draw LR, every method and HR side by side.
        book: gives and keeps what is drawn for each photo; the degradation's own without it.
    """
    paths = [photo.path for photo in loader.dataset.photos]  # type: ignore[attr-defined]
    book = book or DrawBook(degradation)
    rows: list[Row] = []
    done = 0
    for batch in track(loader, "measuring", transient=True):
        photos = batch.each(lambda part: part.to(device))
        names = [show(path.name) for path in paths[done : done + len(photos.keys)]]
        h, w = photos.pixels.shape[-2:]
        draws = book.draws(names, (h, w), photos.keys) if photos.lr is None else None
        lr, hr = evaluation_pair(photos, degradation, draws)
        restored = {method.name: method(lr) for method in methods}
        for method, sr in restored.items():
            rows += _rows(method, names, metrics(sr, hr))
        if pictures is not None:
            for i in range(min(len(hr), max(pictures.most - done, 0))):
                columns = {"LR": lr[i]} | {m: sr[i] for m, sr in restored.items()} | {"HR": hr[i]}
                name = f"{done + i:03}_{paths[done + i].stem[:LONGEST]}.png"
                write_image(pictures.folder / name, comparison(columns)[None])
        done += len(hr)
    return Measured([_mean(method.name, rows, metrics.names) for method in methods], rows)


def _rows(method: str, photos: list[str], values: dict[str, Tensor]) -> list[Row]:
    """A row a photo."""
    columns = {metric: value.tolist() for metric, value in values.items()}
    return [
        {"name": method, "photo": photo} | {metric: column[i] for metric, column in columns.items()}
        for i, photo in enumerate(photos)
    ]


def _mean(method: str, rows: list[Row], metrics: list[str]) -> Row:
    own = [row for row in rows if row["name"] == method]
    means = {metric: sum(row[metric] for row in own) / len(own) for metric in metrics}
    return {"name": method} | means

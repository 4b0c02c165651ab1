"""Comparison pictures of an evaluation: LR, methods and HR of a photo side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor

from srlit.data import EvaluationPhotos
from srlit.data.audit import Photo
from srlit.data.transforms import evaluation_pair
from srlit.degradation import Degradation
from srlit.evaluation.batches import Drawn, readable
from srlit.evaluation.image_strip import comparison
from srlit.evaluation.recorded_draws import RecordedDraws
from srlit.evaluation.results_cache import ResultsCache
from srlit.inference.image_files import write_image
from srlit.inference.upscalers import Upscaler
from srlit.utils.fingerprint import fingerprint

LONGEST = 50  # letters of a photo's name in the name of its picture


class Pictures(NamedTuple):
    """Where comparison pictures go.

    Attributes:
        folder: the folder.
        most: how many of the first photos to draw.
    """

    folder: Path
    most: int

    def missing(
        self, batch: Drawn, methods: Sequence[Upscaler], ledger: ResultsCache
    ) -> dict[int, Path]:
        """Positions in a batch whose picture is not there or shows something else, and its path."""
        drawn_as = self._fingerprint(methods)
        paths = {
            position: self._path(index, photo)
            for position, (index, photo) in enumerate(zip(batch.indices, batch.files, strict=True))
            if index < self.most
        }
        return {
            position: path
            for position, path in paths.items()
            if not (path.exists() and ledger.find(drawn_as, batch.prints[position], ()) is not None)
        }

    def draw(
        self,
        batch: Drawn,
        wanted: Mapping[int, Path],
        methods: Sequence[Upscaler],
        images: Mapping[str, Tensor],
        ledger: ResultsCache,
    ) -> None:
        """Write the pictures of some of a batch.

        Args:
            batch: the photos.
            wanted: their positions in it, and where each picture goes.
            methods: what the pictures show, besides LR and HR.
            images: label to the whole batch, in the order of the columns.
            ledger: where it is noted what they show.
        """
        for position, path in wanted.items():
            strip = comparison({name: each[position] for name, each in images.items()})
            write_image(path, strip[None])
            ledger.add(self._fingerprint(methods), batch.prints[position], {})

    def _path(self, index: int, photo: Photo) -> Path:
        return self.folder / f"{index:03}_{photo.path.stem[:LONGEST]}.png"

    def _fingerprint(self, methods: Sequence[Upscaler]) -> str:
        shown = [(method.name, method.fingerprint) for method in methods]
        return fingerprint("picture", self.folder.name, shown)


def draw_figure(
    methods: Sequence[Upscaler],
    photos: EvaluationPhotos,
    degradation: Degradation,
    device: torch.device,
    pictures: Pictures,
    ledger: ResultsCache,
) -> None:
    """Pictures alone, nothing measured; those that are there stay.

    Args:
        methods: the columns between LR and HR, in this order.
        photos: what is shown; one that cannot be read is left out.
        degradation: what the photos go through, by the draws of their own keys.
        device: where all of it is computed.
        pictures: where they go.
        ledger: what is there, and where more is noted.
    """
    book = RecordedDraws(degradation)
    reading = readable(photos, device, unreadable=[])
    for indices, read in track(reading, pictures.folder.name, len(photos), transient=True):
        files = [photos.photos[index] for index in indices]
        batch = Drawn.of(indices, files, read.each(lambda part: part.to(device)), book, ledger)
        if wanted := pictures.missing(batch, methods, ledger):
            lr, hr = evaluation_pair(batch.photos, degradation, batch.draws)
            images = {"LR": lr, **{method.name: method(lr) for method in methods}, "HR": hr}
            pictures.draw(batch, wanted, methods, images, ledger)

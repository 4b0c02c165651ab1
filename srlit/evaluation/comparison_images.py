"""Comparison images: LR, every method and HR of a photo side by side, each below its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srlit.evaluation.batches import PreparedBatch
from srlit.evaluation.results_cache import ResultsCache
from srlit.inference.upscalers import Upscaler
from srlit.ops.image_grid import LABEL_HEIGHT, columns_of, labelled, side_by_side
from srlit.utils.fingerprint import fingerprint

MAX_NAME = 50  # characters of a photo's name in the file name


class ComparisonImages(NamedTuple):
    """Which comparison images a folder shall hold.

    Attributes:
        folder: the folder.
        limit: how many of the first photos are drawn.
    """

    folder: Path
    limit: int

    def missing(
        self, batch: PreparedBatch, methods: Sequence[Upscaler], cache: ResultsCache
    ) -> dict[int, Path]:
        """Position in the batch to path of each image that is absent or shows something else."""
        columns = self.fingerprint(methods)
        found = zip(batch.indices, batch.files, batch.fingerprints, strict=True)
        return {
            position: path
            for position, (index, photo, key) in enumerate(found)
            if index < self.limit
            and not (
                (path := self.folder / f"{index:03}_{photo.path.stem[:MAX_NAME]}.png").exists()
                and cache.has(columns, key)
            )
        }

    def fingerprint(self, methods: Sequence[Upscaler]) -> str:
        """Identifies in the cache what an image of these methods shows."""
        columns = [(method.name, method.fingerprint) for method in methods]
        return fingerprint("comparison image", self.folder.name, columns)


def comparison(images: Mapping[str, Float[Tensor, "3 _ _"]]) -> Float[Tensor, "3 h w"]:
    """Images side by side at one size, each below its label.

    Args:
        images: label to image in [0, 1]; smaller ones (LR) are enlarged by nearest neighbour.
    """
    height, width = (max(image.shape[axis] for image in images.values()) for axis in (1, 2))
    enlarged = [F.interpolate(image[None].cpu(), (height, width))[0] for image in images.values()]
    return side_by_side(list(map(labelled, images, enlarged)))


def split_comparison(
    image: Float[Tensor, "3 _ _"], labels: Sequence[str]
) -> dict[str, Float[Tensor, "3 h w"]]:
    """Label to image: the inverse of `comparison`.

    Raises:
        ValueError: it is no comparison of so many images.
    """
    columns = columns_of(image, len(labels))
    return {name: one[:, LABEL_HEIGHT:] for name, one in zip(labels, columns, strict=True)}

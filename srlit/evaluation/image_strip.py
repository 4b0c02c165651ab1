"""Comparison pictures: one image by several methods, labelled."""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srlit.ops.image_grid import LABEL_HEIGHT, columns_of, labelled, side_by_side


def comparison(images: Mapping[str, Float[Tensor, "3 _ _"]]) -> Float[Tensor, "3 h w"]:
    """Images side by side at one size, each below its name.

    Args:
        images: label to image in [0, 1]; smaller ones (LR) are enlarged by nearest neighbour.
    """
    size = (
        max(image.shape[1] for image in images.values()),
        max(image.shape[2] for image in images.values()),
    )
    large = {name: F.interpolate(one[None].cpu(), size=size)[0] for name, one in images.items()}
    return side_by_side([labelled(name, image) for name, image in large.items()])


def parted(
    picture: Float[Tensor, "3 _ _"], labels: Sequence[str]
) -> dict[str, Float[Tensor, "3 h w"]]:
    """The images of a `comparison` under their labels.

    Raises:
        ValueError: the picture is no comparison of so many images.
    """
    columns = columns_of(picture, len(labels))
    return {name: one[:, LABEL_HEIGHT:] for name, one in zip(labels, columns, strict=True)}

"""Comparison images: side by side, each with a label."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

GAP = 4
LABEL_HEIGHT = 26


def image_pixels(image: Image.Image) -> Float[Tensor, "3 h w"]:
    """An RGB image of Pillow in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def labelled(text: str, image: Float[Tensor, "3 _ w"]) -> Float[Tensor, "3 _ w"]:
    """The image below a label, black on white."""
    width = image.shape[2]
    bar = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    font = ImageFont.load_default(15)
    ImageDraw.Draw(bar).text((width / 2, LABEL_HEIGHT / 2), text, "black", font, anchor="mm")
    return torch.cat([image_pixels(bar).to(image), image.clamp(0, 1)], 1)


def side_by_side(images: list[Float[Tensor, "3 _ _"]]) -> Float[Tensor, "3 h w"]:
    """Images in [0, 1] in a row, with a white gap; smaller ones are enlarged by nearest pixels."""
    height = max(image.shape[1] for image in images)
    row: list[Tensor] = []
    for image in images:
        width = round(image.shape[2] * height / image.shape[1])
        row += [F.interpolate(image[None], size=(height, width), mode="nearest")[0]]
        row += [torch.ones(3, height, GAP, device=image.device)]
    return torch.cat(row[:-1], 2).clamp(0, 1)


def stacked(rows: list[Float[Tensor, "3 _ _"]]) -> Float[Tensor, "3 h w"]:
    """Rows below each other, with a white gap and a white margin on the right."""
    width = max(row.shape[2] for row in rows)
    padded = [F.pad(row, (0, width - row.shape[2], 0, GAP), value=1.0) for row in rows]
    return torch.cat(padded, 1)[:, :-GAP]


def columns_of(row: Float[Tensor, "3 h _"], count: int) -> list[Float[Tensor, "3 h w"]]:
    """The images of a row made by `side_by_side`, all of one width.

    Raises:
        ValueError: not a row of `count` images of one width with white gaps.
    """
    width, rest = divmod(row.shape[2] + GAP, count)
    starts = [i * width for i in range(count)]
    gaps = [row[:, :, start - GAP : start] for start in starts[1:]]
    if rest or width <= GAP or not all((gap == 1).all() for gap in gaps):
        raise ValueError(f"{row.shape[2]} pixels wide: expected {count} images of one width")
    return [row[:, :, start : start + width - GAP] for start in starts]


def rows_of(image: Float[Tensor, "3 _ w"]) -> list[Float[Tensor, "3 h w"]]:
    """The rows of an image made by `stacked`, all of one height.

    The largest number of rows whose gaps are white; a single row has none.
    """
    turned = image.transpose(1, 2)
    for count in range(image.shape[1] // (2 * GAP), 1, -1):
        try:
            return [row.transpose(1, 2) for row in columns_of(turned, count)]
        except ValueError:
            continue
    return [image]


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

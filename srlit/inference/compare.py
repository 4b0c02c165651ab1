"""Comparison pictures: one image by several methods, labelled."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from srlit.data.photo import pixels_of
from srlit.ops.panel import GAP

LABEL_HEIGHT = 26


def label_bar(text: str, width: int) -> Float[Tensor, "3 h w"]:
    """Black on white, as wide as the image below."""
    bar = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    font = ImageFont.load_default(15)
    ImageDraw.Draw(bar).text((width / 2, LABEL_HEIGHT / 2), text, "black", font, anchor="mm")
    return pixels_of(bar).float() / 255


def comparison(images: Mapping[str, Float[Tensor, "3 _ _"]]) -> Float[Tensor, "3 h w"]:
    """Images side by side at one size, each below its name.

    Args:
        images: label to image in [0, 1]; smaller ones (LR) are enlarged by nearest neighbour.
    """
    height = max(image.shape[1] for image in images.values())
    width = max(image.shape[2] for image in images.values())
    columns = []
    for label, image in images.items():
        large = torch.nn.functional.interpolate(image[None].cpu(), size=(height, width))[0]
        columns += [torch.cat([label_bar(label, width), large.clamp(0, 1)], 1)]
        columns += [torch.ones(3, height + LABEL_HEIGHT, GAP)]
    return torch.cat(columns[:-1], 2)

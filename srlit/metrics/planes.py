"""Views of images that several metrics compare, in float64, and how exactly they are computed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.ops.colour import rgb_to_y
from srlit.ops.compute_precision import float64_device, full_precision
from srlit.types import AnyImages

Space = Literal["rgb", "y"]


def double(image: AnyImages) -> AnyImages:
    """In float64, on the CPU if the device has none: a float32 cannot hold 40 dB to 1e-6."""
    return image.to(float64_device(image.device)).double()


def plane(image: AnyImages, space: Space, border: int) -> Float[Tensor, "n _ _ _"]:
    """RGB or luma in float64, without the border."""
    image = double(image)
    image = rgb_to_y(image) if space == "y" else image
    h, w = image.shape[-2:]
    return image[..., border : h - border, border : w - border]


def to_8_bit(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Clamped to [0, 1] and rounded to multiples of 1/255, as in an image file."""
    return (image.float().clamp(0, 1) * 255).round_().div_(255)


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """No gradient, no autocast, no TensorFloat-32, no choice of algorithms by their speed.

    Half precision would ruin the variances in SSIM.
    """
    deterministic = torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False)
    with torch.no_grad(), full_precision(device), deterministic:
        yield

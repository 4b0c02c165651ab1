"""Views of images that several metrics compare, in float64."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from srlit.ops.colour import rgb_to_y
from srlit.ops.compute_precision import float64_device
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

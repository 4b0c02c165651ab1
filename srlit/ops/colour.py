"""Luma, as the evaluation protocols define it."""

from jaxtyping import Float
from torch import Tensor

from srlit.ops.rng import constant


def rgb_to_y(rgb: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Luma as in MATLAB's rgb2ycbcr: BT.601, studio range 16/255 to 235/255.

    Args:
        rgb: images in [0, 1].

    Source: ITU-R BT.601; the coefficients are MATLAB's, for R, G, B in [0, 1].
    """
    weights = rgb.new_tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1)
    return ((rgb * weights).sum(1, keepdim=True) + 16.0) / 255.0


def luma(rgb: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """BT.601 luma in full range: 0.299 R + 0.587 G + 0.114 B, in [0, 1]."""
    weights = constant((0.299, 0.587, 0.114), rgb.device, rgb.dtype).view(1, 3, 1, 1)
    return (rgb * weights).sum(1, keepdim=True)

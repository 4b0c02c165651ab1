"""Peak signal-to-noise ratio."""

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.metrics.planes import Space, plane
from srlit.metrics.registry import Metric, PerImage, named
from srlit.types import Images, NonNegativeInt


def psnr(sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in dB for a peak of 1; infinite for equal images."""
    return -10 * torch.log10((sr - hr).square().mean((1, 2, 3)))


@named("psnr_<space:rgb|y>_b<border>")
class PSNR(Metric):
    """PSNR in dB, infinite for equal images.

    Args:
        space: mean over the three channels, or luma.
        border: pixels to ignore on each side.
    """

    higher_is_better = True
    ideal = float("inf")

    def __init__(self, *, space: Space, border: NonNegativeInt) -> None:
        self.space, self.border = space, border
        self.min_size = 1 + 2 * border

    def view(self, image: Images) -> Float[Tensor, "n _ _ _"]:
        """RGB or luma without the border, in float64."""
        return plane(image, self.space, self.border)

    def compare(self, sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> PerImage:
        """PSNR of each image."""
        return psnr(sr, hr)

"""Locally discriminative learning: artefacts are punished, details are not."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.types import Images, Scalar

# Root of the residual's variance that weighs a whole image (a in the paper).
ROOT = 5


def residual(image: Images, hr: Images) -> Float[Tensor, "n 1 h w"]:
    """R = |hr - image|, summed over the channels."""
    return (hr - image).abs().sum(1, keepdim=True)


def local_variance(x: Float[Tensor, "n 1 h w"], window: int) -> Float[Tensor, "n 1 h w"]:
    """Unbiased variance in the window around each pixel; the border is reflected."""
    reach = window // 2
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    return padded.unfold(2, window, 1).unfold(3, window, 1).var((-2, -1))


@torch.no_grad()
def artifact_map(sr: Images, hr: Images, averaged: Images, window: int) -> Float[Tensor, "n 1 h w"]:
    """Where the restored image is likely to have artefacts, and how much that weighs.

    With R1 = `residual(sr)` and R2 = `residual(averaged)`: M = var(R1)^(1/5) over the whole image,
    times the variance of R1 around each pixel; and 0 where |R1| < |R2|, as there the training has
    come nearer to the target than its own average.
    """
    own = residual(sr, hr)
    spread = own.var((1, 2, 3), keepdim=True) ** (1 / ROOT)
    suspected = spread * local_variance(own, window)
    return suspected.where(own >= residual(averaged, hr), 0.0)


class LDL(nn.Module):
    """Mean |M * (sr - hr)|, with M the map of likely artefacts.

    Source: Liang, Zeng, Zhang 2022, "Details or Artifacts: A Locally Discriminative Learning
    Approach to Realistic Image Super-Resolution", section 3. As there, the map is refined by what
    the generator's moving average restores; where a training has no average
    (`callbacks.ema=null`), the restored image takes its place and M stays unrefined. No gradient
    goes through M: it says where to look. (The authors' code lets one through; its root has an
    infinite slope where sr = hr.)

    At least 0, and 0 for equal images. Meant beside an adversarial loss.

    Args:
        window: odd side of the window around a pixel, >= 3; 7 in the paper. Images need more than
            half of it.

    Raises:
        ValueError: the window is even or too small.
    """

    needs = ("averaged",)

    def __init__(self, *, window: int = 7) -> None:
        super().__init__()
        if window < 3 or window % 2 == 0:
            msg = f"loss term ldl: window={window}: expected an odd number, at least 3"
            raise ValueError(msg)
        self.window = window

    def forward(self, sr: Images, hr: Images, averaged: Images) -> Scalar:
        """Mean over pixels, channels and the batch."""
        return (artifact_map(sr, hr, averaged, self.window) * (sr - hr)).abs().mean()

"""Locally discriminative learning (LDL): penalises artefacts, spares details."""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Predicate
from jaxtyping import Float
from torch import Tensor, nn

from srlit.types import Images, Scalar

Map = Float[Tensor, "n 1 h w"]
# 1 / ROOT is the exponent of the whole residual's variance (a in the paper).
ROOT = 5


def is_odd(number: int) -> bool:
    """Whether a number is odd."""
    return number % 2 == 1


def residual(image: Images, hr: Images) -> Map:
    """R = |hr - image|, summed over the channels."""
    return (hr - image).abs().sum(1, keepdim=True)


def local_variance(x: Map, window: int) -> Map:
    """Unbiased variance in the window around each pixel; the border is reflected."""
    padded = F.pad(x, (window // 2,) * 4, mode="reflect")
    return padded.unfold(2, window, 1).unfold(3, window, 1).var((-2, -1))


@torch.no_grad()
def artifact_map(sr: Images, hr: Images, ema_sr: Images, window: int) -> Map:
    """Weight of each pixel by how likely it is an artefact.

    With R1 = `residual(sr)` and R2 = `residual(ema_sr)`: M = var(R1)^(1/5) over the whole image,
    times the variance of R1 around each pixel; and 0 where |R1| < |R2|, because there the
    generator is already closer to the target than its moving average.
    """
    own = residual(sr, hr)
    whole_variance = own.var((1, 2, 3), keepdim=True) ** (1 / ROOT)
    suspected = whole_variance * local_variance(own, window)
    return suspected.where(own >= residual(ema_sr, hr), 0.0)


class LDL(nn.Module):
    """Mean |M * (sr - hr)|, with M the map of likely artefacts.

    Source: Liang, Zeng, Zhang 2022, "Details or Artifacts: A Locally Discriminative Learning
    Approach to Realistic Image Super-Resolution", section 3. As there, the map is refined by the
    output of the generator's moving average; without one (`callbacks.ema=null`) the generator's
    own output takes its place and M stays unrefined. No gradient flows through M. (The authors'
    code lets one through; its root has an infinite slope where sr = hr.)

    At least 0, and 0 for equal images. Meant to accompany an adversarial loss.

    Args:
        window: odd side of the window around a pixel; 7 in the paper. Images need more than half
            of it.
    """

    needs = ("ema_sr",)

    def __init__(self, *, window: Annotated[int, Ge(3), Predicate(is_odd)] = 7) -> None:
        super().__init__()
        self.window = window

    def forward(self, sr: Images, hr: Images, ema_sr: Images) -> Scalar:
        """Mean over pixels, channels and the batch."""
        return (artifact_map(sr, hr, ema_sr, self.window) * (sr - hr)).abs().mean()

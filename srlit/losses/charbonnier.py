"""The Charbonnier loss, a smooth L1."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.types import Images, Positive, Scalar


def charbonnier(sr: Float[Tensor, "*shape"], hr: Float[Tensor, "*shape"], epsilon: float) -> Scalar:
    """Mean sqrt((sr - hr)^2 + epsilon^2) (Lai et al. 2017, eq. 2)."""
    return torch.sqrt((sr - hr).square() + epsilon**2).mean()


class Charbonnier(nn.Module):
    """Mean sqrt((sr - hr)^2 + epsilon^2); epsilon for equal images.

    Args:
        epsilon: half-width of the smooth part, in units of [0, 1] images.
    """

    zero_at_equality = False

    def __init__(self, *, epsilon: Positive = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over pixels, channels and the batch."""
        return charbonnier(sr, hr, self.epsilon)

"""Losses between pixels."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.types import Images, Scalar


def charbonnier(sr: Float[Tensor, "*shape"], hr: Float[Tensor, "*shape"], epsilon: float) -> Scalar:
    """Mean sqrt((sr - hr)^2 + epsilon^2) (Lai et al. 2017, eq. 2)."""
    return torch.sqrt((sr - hr).square() + epsilon**2).mean()


class L1(nn.Module):
    """Mean absolute difference, in units of [0, 1] images."""

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean |sr - hr|."""
        return F.l1_loss(sr, hr)


class L2(nn.Module):
    """Mean squared difference, in units of [0, 1] images."""

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean (sr - hr)^2."""
        return F.mse_loss(sr, hr)


class Charbonnier(nn.Module):
    """A smooth L1.

    Args:
        epsilon: half-width of the smooth part, in units of [0, 1] images, > 0.
    """

    def __init__(self, *, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean sqrt((sr - hr)^2 + epsilon^2)."""
        return charbonnier(sr, hr, self.epsilon)

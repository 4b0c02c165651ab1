"""A loss between Laplacians."""

from kornia.filters import laplacian
from torch import nn

from srlit.losses.charbonnier import charbonnier
from srlit.types import Images, Positive, Scalar


class Edge(nn.Module):
    """Mean sqrt((L sr - L hr)^2 + epsilon^2), with L the Laplacian of a pixel's 8 neighbours.

    Source: Zamir et al. 2021 (MPRNet), the edge loss. kornia's Laplacian is divided by 16, the sum
    of its absolute taps. At least epsilon, its value for images that differ by a constant.

    Args:
        epsilon: half-width of the smooth part, in units of [0, 1] images.
    """

    zero_at_equality = False

    def __init__(self, *, epsilon: Positive = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over pixels, channels and the batch."""
        return charbonnier(laplacian(sr, 3), laplacian(hr, 3), self.epsilon)

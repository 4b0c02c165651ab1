"""Losses between derivatives of images, and of the restored image's own."""

from kornia.filters import laplacian
from kornia.losses import total_variation
from torch import nn

from srlit.losses.pixel import charbonnier
from srlit.ops.filters import sobel
from srlit.types import Images, Scalar


class Gradient(nn.Module):
    """Mean absolute difference of the Sobel derivatives, both directions alike.

    In units of [0, 1] images a pixel; 0 for images that differ by a constant. Derivatives are
    compared with their sign: losses of their magnitudes, as in Mathieu et al. 2016 and Ma et al.
    2020 (SPSR), cannot tell an edge from its reverse.
    """

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean |d sr - d hr|."""
        return sobel(sr - hr).abs().mean()


class Edge(nn.Module):
    """Mean sqrt((L sr - L hr)^2 + epsilon^2), with L the Laplacian of a pixel's 8 neighbours.

    Source: Zamir et al. 2021 (MPRNet), the edge loss. kornia's Laplacian is divided by 16, the sum
    of its absolute taps. At least epsilon, its value for images that differ by a constant.

    Args:
        epsilon: half-width of the smooth part, in units of [0, 1] images, > 0.
    """

    def __init__(self, *, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over pixels, channels and the batch."""
        return charbonnier(laplacian(sr, 3), laplacian(hr, 3), self.epsilon)


class TotalVariation(nn.Module):
    """Mean absolute difference of vertical neighbours plus that of horizontal ones.

    Source: Rudin, Osher, Fatemi 1992, in the anisotropic form. It looks at the restored image only
    and pulls it towards a flat one: 0 for a constant, at most 2 for images in [0, 1].
    """

    def forward(self, sr: Images, hr: Images) -> Scalar:  # noqa: ARG002
        """Mean over neighbours, channels and the batch."""
        return total_variation(sr, reduction="mean").mean()

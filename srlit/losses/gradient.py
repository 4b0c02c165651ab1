"""A loss between Sobel derivatives."""

from torch import nn

from srlit.ops.filters import sobel
from srlit.types import Images, Scalar


class Gradient(nn.Module):
    """Mean absolute difference of the Sobel derivatives, vertical and horizontal.

    In units of [0, 1] images per pixel; 0 for images that differ by a constant. Derivatives are
    compared with their sign: losses of their magnitudes, as in Mathieu et al. 2016 and Ma et al.
    2020 (SPSR), cannot tell an edge from its reverse.
    """

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean |d sr - d hr|."""
        return sobel(sr - hr).abs().mean()

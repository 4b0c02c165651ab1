"""Families of blur kernels."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from srlit.degradation.checks import Range, check_range, check_sizes
from srlit.ops.filters import box_taps, gaussian_taps
from srlit.ops.rng import RowGenerator, constant


@runtime_checkable
class Kernel(Protocol):
    """A family of separable blur kernels."""

    size: int

    def taps(self, rows: RowGenerator, size: int) -> Float[Tensor, "n size"]:
        """Draw normalised taps of length `size`."""
        ...


class GaussianKernel:
    """Isotropic Gaussian kernels.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the standard deviation, in pixels.
    """

    def __init__(self, *, sizes: Sequence[int], sigma: Range) -> None:
        self.sizes = check_sizes("GaussianKernel.sizes", sizes)
        self.sigma = check_range("GaussianKernel.sigma", sigma, 1e-3, 1e3)
        self.size = max(self.sizes)

    def taps(self, rows: RowGenerator, size: int) -> Float[Tensor, "n size"]:
        """Draw size and sigma, give exp(-x^2 / 2 sigma^2), normalised."""
        return gaussian_taps(rows.uniform(*self.sigma), draw_size(rows, self.sizes), size)


class BoxKernel:
    """Square means.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
    """

    def __init__(self, *, sizes: Sequence[int]) -> None:
        self.sizes = check_sizes("BoxKernel.sizes", sizes)
        self.size = max(self.sizes)

    def taps(self, rows: RowGenerator, size: int) -> Float[Tensor, "n size"]:
        """Draw the size, give 1 / size inside it."""
        return box_taps(draw_size(rows, self.sizes), size)


def draw_size(rows: RowGenerator, sizes: Sequence[int]) -> Tensor:
    """One of `sizes` a row, all equally likely."""
    table = constant(tuple(sizes), rows.rows.device)
    return table[rows.integers(0, len(sizes) - 1)]

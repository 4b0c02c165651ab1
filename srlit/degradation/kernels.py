"""Families of blur kernels: the parameters that are drawn, and the kernel for them.

Kernels are dense squares, one per sample, with a sum of 1. Angles are in radians, from the x axis
to the y axis, which points downwards; lengths are in pixels.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from jaxtyping import Float
from torch import Tensor

from srlit.degradation.stage import Configured, IsRange, NonNegativeRange, OddSizes, PositiveRange
from srlit.ops.filters import centred_positions, gaussian_taps
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import RowGenerator, constant

Kernels = Float[Tensor, "n k k"]
Row = Float[Tensor, "1 k"]
Column = Float[Tensor, "k 1"]
Cutoff = Annotated[float, Gt(0), Interval(le=math.pi + 1e-3)]
Cutoffs = Annotated[Sequence[Cutoff], IsRange, "[low, high], ascending, above 0 and up to pi"]
MIN_PATH_POINTS = 33
NO_SIZES: Sequence[int] = ()


class Kernel(Configured, ABC):
    """A family of blur kernels.

    Attributes:
        name: used in reports and records.
        sizes: odd kernel sizes to draw from, in pixels; () where another parameter decides.
    """

    name = ""
    sizes = NO_SIZES

    @property
    def size(self) -> int:
        """Side of the largest kernel, odd."""
        return max(self.sizes)

    def draw(self, rows: RowGenerator) -> Params:  # noqa: ARG002 - for kernels with parameters
        """Draw the parameters of the shape, (n,) each."""
        return {}

    def sample(self, rows: RowGenerator) -> Params:
        """Draw the shape's parameters, and the kernel's own side `support` where it has `sizes`."""
        drawn = self.draw(rows)
        if not self.sizes:
            return drawn
        sizes = constant(tuple(self.sizes), rows.rows.device, torch.int64)
        return {**drawn, "support": sizes[rows.integers(0, len(sizes) - 1)]}

    @abstractmethod
    def kernels(self, params: Params, size: int) -> Kernels:
        """Normalised kernels on squares of side `size`, zero outside their support."""


class SeparableKernel(Kernel):
    """A family whose kernels are products of the same taps along rows and columns."""

    @abstractmethod
    def taps(self, params: Params, size: int) -> Float[Tensor, "n size"]:
        """Normalised taps of length `size`, zero outside their support."""

    def kernels(self, params: Params, size: int) -> Kernels:
        """The outer product of the taps."""
        taps = self.taps(params, size)
        return taps[:, :, None] * taps[:, None, :]


class GaussianKernel(SeparableKernel):
    """Isotropic Gaussians exp(-r^2 / 2 sigma^2).

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the standard deviation, in pixels.
    """

    name = "gaussian"
    sizes: OddSizes
    sigma: PositiveRange

    def draw(self, rows: RowGenerator) -> Params:
        """Draw `sigma`."""
        return {"sigma": rows.uniform(*self.sigma)}

    def taps(self, params: Params, size: int) -> Float[Tensor, "n size"]:
        """exp(-x^2 / 2 sigma^2), normalised."""
        return gaussian_taps(params["sigma"], params["support"], size)


class BoxKernel(SeparableKernel):
    """Square means.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
    """

    name = "box"
    sizes: OddSizes

    def taps(self, params: Params, size: int) -> Float[Tensor, "n size"]:
        """1 / support inside it."""
        support = params["support"][:, None]
        return (centred_positions(size, support).abs() <= (support - 1) / 2) / support.float()


class DenseKernel(Kernel):
    """A family whose kernels are a function of the position."""

    def kernels(self, params: Params, size: int) -> Kernels:
        """Normalised kernels on squares of side `size`, zero outside their support."""
        own = {name: value.view(-1, 1, 1) for name, value in params.items()}
        positions = centred_positions(size, next(iter(own.values())))
        x, y = positions[None, :], positions[:, None]
        kernels = self.shape(x, y, own)
        if self.sizes:
            kernels = kernels * (torch.maximum(x.abs(), y.abs()) <= (own["support"] - 1) / 2)
        return kernels / kernels.sum((1, 2), keepdim=True)

    @abstractmethod
    def shape(self, x: Row, y: Column, params: Params) -> Kernels:
        """The kernel before it is cut to its support and normalised.

        Args:
            x: horizontal position of every element, 0 in the middle.
            y: vertical position.
            params: what was drawn, (n, 1, 1) each.
        """


class EllipticKernel(DenseKernel):
    """A function of the form q = p' S^-1 p, S = R diag(sigma_x^2, sigma_y^2) R', R by `angle`."""

    def shape(self, x: Row, y: Column, params: Params) -> Kernels:
        """The profile at q."""
        cos, sin = params["angle"].cos(), params["angle"].sin()
        along, across = cos * x + sin * y, cos * y - sin * x
        q = (along / params["sigma_x"]) ** 2 + (across / params["sigma_y"]) ** 2
        return self.profile(q, params)

    @abstractmethod
    def profile(self, q: Kernels, params: Params) -> Kernels:
        """The unnormalised kernel where the form is q."""


class AnisotropicGaussian(EllipticKernel):
    """Rotated Gaussians whose two variances are drawn independently, as in BSRGAN.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        variance: range of the variance along either axis, in pixels squared.

    Source: K. Zhang et al., "Designing a practical degradation model" (ICCV 2021), section 3.1.
    """

    name = "anisotropic_gaussian"
    sizes: OddSizes
    variance: PositiveRange

    def draw(self, rows: RowGenerator) -> Params:
        """Draw `sigma_x`, `sigma_y` and `angle`."""
        sigma_x, sigma_y = (rows.uniform(*self.variance).sqrt() for _ in range(2))
        return {"sigma_x": sigma_x, "sigma_y": sigma_y, "angle": rows.uniform(0, math.pi)}

    def profile(self, q: Kernels, params: Params) -> Kernels:  # noqa: ARG002 - always a Gaussian
        """exp(-q / 2)."""
        return torch.exp(-0.5 * q)


class GeneralisedGaussian(EllipticKernel):
    """exp(-q^beta / 2): beta 1 is the Gaussian, smaller has heavier tails, larger is flatter.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the standard deviation along either axis, in pixels.
        beta: range of the shape.
        isotropic: both axes share one sigma.

    Source: Y. Liu et al., "Estimating generalized Gaussian blur kernels for out-of-focus image
    deblurring" (TCSVT 2020), as used by X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.1.
    """

    name = "generalised_gaussian"
    sizes: OddSizes
    sigma: PositiveRange
    beta: PositiveRange
    isotropic: bool = False

    def __post_init__(self) -> None:
        self.name = f"{'isotropic_' * self.isotropic}{self.name}"

    def draw(self, rows: RowGenerator) -> Params:
        """Draw `sigma_x`, `sigma_y` (equal where isotropic), `angle` and `beta`.

        As in Real-ESRGAN's code, half of the betas lie in [low, 1] and half in [1, high]; with
        low = 1 half of them are 1.
        """
        sigma_x, sigma_y = rows.uniform(*self.sigma), rows.uniform(*self.sigma)
        low, high = self.beta
        middle = min(max(low, 1.0), high)
        below, above = rows.uniform(low, middle), rows.uniform(middle, high)
        p_below = 0.5 if low <= 1 <= high else float(high < 1)
        return {
            "sigma_x": sigma_x,
            "sigma_y": sigma_x if self.isotropic else sigma_y,
            "angle": rows.uniform(-math.pi, math.pi),
            "beta": torch.where(rows.bernoulli(p_below), below, above),
        }

    def profile(self, q: Kernels, params: Params) -> Kernels:
        """exp(-q^beta / 2)."""
        return torch.exp(-0.5 * q ** params["beta"])


class Plateau(GeneralisedGaussian):
    """1 / (1 + q^beta): flat in the middle.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the half width along either axis, in pixels.
        beta: range of the shape.
        isotropic: both axes share one sigma.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.1.
    """

    name = "plateau"

    def profile(self, q: Kernels, params: Params) -> Kernels:
        """1 / (1 + q^beta)."""
        return 1 / (1 + q ** params["beta"])


class Sinc(DenseKernel):
    """Ideal low-pass filters: the ringing of sharpening and of JPEG.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        cutoff: range of the highest frequency that passes, in radians per pixel, up to pi.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.3.
    """

    name = "sinc"
    sizes: OddSizes
    cutoff: Cutoffs

    def draw(self, rows: RowGenerator) -> Params:
        """Draw `cutoff`."""
        return {"cutoff": rows.uniform(*self.cutoff)}

    def shape(self, x: Row, y: Column, params: Params) -> Kernels:
        """The impulse response c J1(c r) / (2 pi r), eq. 5."""
        r, c = (x**2 + y**2).sqrt(), params["cutoff"]
        ring = c * torch.special.bessel_j1(c * r) / (2 * math.pi * r.clamp(min=0.5))
        return torch.where(r == 0, c**2 / (4 * math.pi), ring)


class Motion(DenseKernel):
    """Camera shake: a point moves along an arc during the exposure.

    Args:
        length: range of the path's length, in pixels.
        bend: range of the angle between the path's middle and its ends, in radians.
    """

    name = "motion"
    length: NonNegativeRange
    bend: NonNegativeRange = (0.0, 0.0)

    @property
    def size(self) -> int:
        """The longest path and its rim."""
        return _odd_side(self.length[1])

    def draw(self, rows: RowGenerator) -> Params:
        """Draw `length`, `angle` (of the path's middle) and `bend`."""
        return {
            "length": rows.uniform(*self.length),
            "angle": rows.uniform(0, 2 * math.pi),
            "bend": rows.uniform(*self.bend),
        }

    def shape(self, x: Row, y: Column, params: Params) -> Kernels:  # noqa: ARG002 - x is y turned
        """The arc, drawn with bilinear weights."""
        points = max(MIN_PATH_POINTS, 2 * len(y) + 1)  # less than a pixel apart: no gaps
        t = torch.linspace(-1, 1, points, device=y.device)[:, None]
        # The integral of (cos, sin)(angle + bend t), by the midpoints of its steps.
        direction = params["angle"] + params["bend"] * (t[1:] + t[:-1]) / 2
        step = params["length"] / (points - 1)

        def hats(steps: Float[Tensor, "n t 1"]) -> Float[Tensor, "n t k"]:
            path = (step * steps).cumsum(1)
            return (1 - (y[:, 0] - (path - path.mean(1, keepdim=True))).abs()).clamp(min=0)

        return hats(direction.sin()).transpose(1, 2) @ hats(direction.cos())


class Defocus(DenseKernel):
    """Disks: a lens out of focus.

    Args:
        radius: range of the radius, in pixels.
    """

    name = "defocus"
    radius: NonNegativeRange

    @property
    def size(self) -> int:
        """The largest disk and its rim."""
        return _odd_side(2 * self.radius[1])

    def draw(self, rows: RowGenerator) -> Params:
        """Draw `radius`."""
        return {"radius": rows.uniform(*self.radius)}

    def shape(self, x: Row, y: Column, params: Params) -> Kernels:
        """A disk whose rim fades over one pixel."""
        return (params["radius"] + 0.5 - (x**2 + y**2).sqrt()).clamp(0, 1)


def _odd_side(width: float) -> int:
    """Odd side of the smallest square that holds a shape of this width and its rim."""
    return 2 * math.ceil((width + 1) / 2) + 1

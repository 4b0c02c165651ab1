"""Families of blur kernels: the parameters that are drawn, and the kernel for them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.degradation.argument_types import IsRange, NonNegativeRange, OddSizes, PositiveRange
from srlit.ops import blur_kernels as ops
from srlit.ops.filters import box_taps, gaussian_taps
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import RowGenerator, constant

Kernels = Float[Tensor, "n k k"]
Cutoff = Annotated[float, Gt(0), Interval(le=math.pi + 1e-3)]
Cutoffs = Annotated[Sequence[Cutoff], IsRange, "[low, high], ascending, above 0 and up to pi"]


def draw_size(rows: RowGenerator, sizes: Sequence[int]) -> Int64[Tensor, " n"]:
    """One of `sizes` per row, all equally likely."""
    table = constant(tuple(sizes), rows.rows.device, torch.int64)
    return table[rows.integers(0, len(sizes) - 1)]


class Kernel(ABC):
    """A family of blur kernels.

    Attributes:
        name: used in reports and records.
        sizes: odd kernel sizes to draw from, in pixels; () where another parameter decides.
    """

    name: str
    sizes: Sequence[int] = ()

    @property
    def size(self) -> int:
        """Side of the largest kernel, odd."""
        return max(self.sizes)

    @abstractmethod
    def sample(self, rows: RowGenerator) -> Params:
        """Draw parameters, (n,) each; `support` is the kernel's own side."""

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


@dataclass(kw_only=True, eq=False)
class GaussianKernel(SeparableKernel):
    """Isotropic Gaussians exp(-r^2 / 2 sigma^2).

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the standard deviation, in pixels.
    """

    name = "gaussian"
    sizes: OddSizes
    sigma: PositiveRange

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `sigma` and `support`."""
        return {"sigma": rows.uniform(*self.sigma), "support": draw_size(rows, self.sizes)}

    def taps(self, params: Params, size: int) -> Float[Tensor, "n size"]:
        """exp(-x^2 / 2 sigma^2), normalised."""
        return gaussian_taps(params["sigma"], params["support"], size)


@dataclass(kw_only=True, eq=False)
class BoxKernel(SeparableKernel):
    """Square means.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
    """

    name = "box"
    sizes: OddSizes

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `support`."""
        return {"support": draw_size(rows, self.sizes)}

    def taps(self, params: Params, size: int) -> Float[Tensor, "n size"]:
        """1 / support inside it."""
        return box_taps(params["support"], size)


@dataclass(kw_only=True, eq=False)
class AnisotropicGaussian(Kernel):
    """Rotated Gaussians whose two variances are drawn independently, as in BSRGAN.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        variance: range of the variance along either axis, in pixels squared.

    Source: K. Zhang et al., "Designing a practical degradation model" (ICCV 2021), section 3.1.
    """

    name = "anisotropic_gaussian"
    sizes: OddSizes
    variance: PositiveRange

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `sigma_x`, `sigma_y`, `angle` and `support`."""
        return {
            "sigma_x": rows.uniform(*self.variance).sqrt(),
            "sigma_y": rows.uniform(*self.variance).sqrt(),
            "angle": rows.uniform(0, math.pi),
            "support": draw_size(rows, self.sizes),
        }

    def kernels(self, params: Params, size: int) -> Kernels:
        """exp(-q / 2)."""
        q = ops.quadratic_form(params["sigma_x"], params["sigma_y"], params["angle"], size)
        return ops.normalised(torch.exp(-0.5 * q) * ops.inside(params["support"], size))


@dataclass(kw_only=True, eq=False)
class _Elliptic(Kernel):
    """A function of the quadratic form q and a shape beta, drawn as in Real-ESRGAN."""

    sizes: OddSizes
    sigma: PositiveRange
    beta: PositiveRange
    isotropic: bool = False

    def __post_init__(self) -> None:
        self.name = f"{'isotropic_' * self.isotropic}{self.name}"

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `sigma_x`, `sigma_y` (equal where isotropic), `angle`, `beta` and `support`.

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
            "support": draw_size(rows, self.sizes),
        }

    def kernels(self, params: Params, size: int) -> Kernels:
        """The profile at q, normalised."""
        q = ops.quadratic_form(params["sigma_x"], params["sigma_y"], params["angle"], size)
        kernels = self.profile(q, params["beta"])
        return ops.normalised(kernels * ops.inside(params["support"], size))

    @staticmethod
    @abstractmethod
    def profile(q: Kernels, beta: Float[Tensor, " n"]) -> Kernels:
        """The unnormalised kernel where the quadratic form is q."""


class GeneralisedGaussian(_Elliptic):
    """exp(-q^beta / 2): beta 1 is the Gaussian, smaller has heavier tails, larger is flatter.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the standard deviation along either axis, in pixels.
        beta: range of the shape.
        isotropic: both axes share one sigma.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.1.
    """

    name = "generalised_gaussian"
    profile = staticmethod(ops.generalised_gaussian)


class Plateau(_Elliptic):
    """1 / (1 + q^beta): flat in the middle.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the half width along either axis, in pixels.
        beta: range of the shape.
        isotropic: both axes share one sigma.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.1.
    """

    name = "plateau"
    profile = staticmethod(ops.plateau)


@dataclass(kw_only=True, eq=False)
class Sinc(Kernel):
    """Ideal low-pass filters: the ringing of sharpening and of JPEG.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        cutoff: range of the highest frequency that passes, in radians per pixel, up to pi.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.3.
    """

    name = "sinc"
    sizes: OddSizes
    cutoff: Cutoffs

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `cutoff` and `support`."""
        return {"cutoff": rows.uniform(*self.cutoff), "support": draw_size(rows, self.sizes)}

    def kernels(self, params: Params, size: int) -> Kernels:
        """The filter's impulse response, cut to its support."""
        kernels = ops.sinc(params["cutoff"], size) * ops.inside(params["support"], size)
        return ops.normalised(kernels)


@dataclass(kw_only=True, eq=False)
class Motion(Kernel):
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

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `length`, `angle` and `bend`."""
        return {
            "length": rows.uniform(*self.length),
            "angle": rows.uniform(0, 2 * math.pi),
            "bend": rows.uniform(*self.bend),
        }

    def kernels(self, params: Params, size: int) -> Kernels:
        """The arc, drawn with bilinear weights."""
        arc = ops.motion(params["length"], params["angle"], params["bend"], size)
        return ops.normalised(arc)


@dataclass(kw_only=True, eq=False)
class Defocus(Kernel):
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

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `radius`."""
        return {"radius": rows.uniform(*self.radius)}

    def kernels(self, params: Params, size: int) -> Kernels:
        """A disk whose rim fades over one pixel."""
        return ops.normalised(ops.disk(params["radius"], size))


def _odd_side(width: float) -> int:
    """Odd side of the smallest square that holds a shape of this width and its rim."""
    return 2 * math.ceil((width + 1) / 2) + 1

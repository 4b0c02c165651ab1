"""Families of blur kernels: what is drawn, and the kernel that follows from it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.degradation.checks import Range, check_range, check_sizes
from srlit.ops import blur_kernels as ops
from srlit.ops.filters import box_taps, gaussian_taps
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import RowGenerator, constant

Kernels = Float[Tensor, "n k k"]
SIGMAS = 1e-3, 1e3


def draw_size(rows: RowGenerator, sizes: Sequence[int]) -> Int64[Tensor, " n"]:
    """One of `sizes` a row, all equally likely."""
    table = constant(tuple(sizes), rows.rows.device, torch.int64)
    return table[rows.integers(0, len(sizes) - 1)]


class Kernel(ABC):
    """A family of blur kernels.

    Attributes:
        name: what reports and records call it.
        size: side of its largest kernel, odd.
    """

    name: str
    size: int

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


class GaussianKernel(SeparableKernel):
    """Isotropic Gaussians exp(-r^2 / 2 sigma^2).

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        sigma: range of the standard deviation, in pixels.
    """

    name = "gaussian"

    def __init__(self, *, sizes: Sequence[int], sigma: Range) -> None:
        self.sizes = check_sizes("GaussianKernel.sizes", sizes)
        self.sigma = check_range("GaussianKernel.sigma", sigma, *SIGMAS)
        self.size = max(self.sizes)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `sigma` and `support`."""
        return {"sigma": rows.uniform(*self.sigma), "support": draw_size(rows, self.sizes)}

    def taps(self, params: Params, size: int) -> Float[Tensor, "n size"]:
        """exp(-x^2 / 2 sigma^2), normalised."""
        return gaussian_taps(params["sigma"], params["support"], size)


class BoxKernel(SeparableKernel):
    """Square means.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
    """

    name = "box"

    def __init__(self, *, sizes: Sequence[int]) -> None:
        self.sizes = check_sizes("BoxKernel.sizes", sizes)
        self.size = max(self.sizes)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `support`."""
        return {"support": draw_size(rows, self.sizes)}

    def taps(self, params: Params, size: int) -> Float[Tensor, "n size"]:
        """1 / support inside it."""
        return box_taps(params["support"], size)


class AnisotropicGaussian(Kernel):
    """Turned Gaussians whose two variances are drawn apart, as BSRGAN draws them.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        variance: range of the variance along either axis, in pixels squared.

    Source: K. Zhang et al., "Designing a practical degradation model" (ICCV 2021), section 3.1.
    """

    name = "anisotropic_gaussian"

    def __init__(self, *, sizes: Sequence[int], variance: Range) -> None:
        self.sizes = check_sizes("AnisotropicGaussian.sizes", sizes)
        self.variance = check_range("AnisotropicGaussian.variance", variance, 1e-6, 1e6)
        self.size = max(self.sizes)

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


class _Elliptic(Kernel):
    """A profile of the quadratic form q with a shape parameter beta, as Real-ESRGAN draws it."""

    def __init__(
        self, *, sizes: Sequence[int], sigma: Range, beta: Range, isotropic: bool = False
    ) -> None:
        owner = type(self).__name__
        self.sizes = check_sizes(f"{owner}.sizes", sizes)
        self.sigma = check_range(f"{owner}.sigma", sigma, *SIGMAS)
        self.beta = check_range(f"{owner}.beta", beta, 1e-2, 1e2)
        self.isotropic = isotropic
        self.name = f"{'isotropic_' * isotropic}{self.name}"
        self.size = max(self.sizes)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `sigma_x`, `sigma_y` (the same where isotropic), `angle`, `beta` and `support`.

        Half of the betas lie between the range's least and 1, half above, as in Real-ESRGAN's code:
        half of a range that begins at 1 are 1.
        """
        sigma_x, sigma_y = rows.uniform(*self.sigma), rows.uniform(*self.sigma)
        least, largest = self.beta
        middle = min(max(least, 1.0), largest)
        below, above = rows.uniform(least, middle), rows.uniform(middle, largest)
        p_below = 0.5 if least <= 1 <= largest else float(largest < 1)
        return {
            "sigma_x": sigma_x,
            "sigma_y": sigma_x if self.isotropic else sigma_y,
            "angle": rows.uniform(-math.pi, math.pi),
            "beta": torch.where(rows.bernoulli(p_below), below, above),
            "support": draw_size(rows, self.sizes),
        }

    def kernels(self, params: Params, size: int) -> Kernels:
        """The profile of q."""
        q = ops.quadratic_form(params["sigma_x"], params["sigma_y"], params["angle"], size)
        kernels = self.profile(q, params["beta"])
        return ops.normalised(kernels * ops.inside(params["support"], size))

    @staticmethod
    @abstractmethod
    def profile(q: Kernels, beta: Float[Tensor, " n"]) -> Kernels:
        """The kernel's height where the quadratic form is q."""


class GeneralisedGaussian(_Elliptic):
    """exp(-q^beta / 2): beta 1 is the Gaussian, less has heavier tails, more is flatter.

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


class Sinc(Kernel):
    """Ideal low-pass filters: the ringing of sharpening and of JPEG.

    Args:
        sizes: odd kernel sizes to draw from, in pixels.
        cutoff: range of the highest frequency that passes, in radians a pixel, up to pi.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.3.
    """

    name = "sinc"

    def __init__(self, *, sizes: Sequence[int], cutoff: Range) -> None:
        self.sizes = check_sizes("Sinc.sizes", sizes)
        self.cutoff = check_range("Sinc.cutoff", cutoff, 1e-2, math.pi + 1e-3)
        self.size = max(self.sizes)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `cutoff` and `support`."""
        return {"cutoff": rows.uniform(*self.cutoff), "support": draw_size(rows, self.sizes)}

    def kernels(self, params: Params, size: int) -> Kernels:
        """The filter's impulse response, cut to its support."""
        kernels = ops.sinc(params["cutoff"], size) * ops.inside(params["support"], size)
        return ops.normalised(kernels)


class Motion(Kernel):
    """Camera shake: the path of a point during the exposure, an arc.

    Args:
        length: range of the path's length, in pixels.
        bend: range of the angle between the path's middle and its ends, in radians.
    """

    name = "motion"

    def __init__(self, *, length: Range, bend: Range = (0.0, 0.0)) -> None:
        self.length = check_range("Motion.length", length, 0, 1e3)
        self.bend = check_range("Motion.bend", bend, 0, math.pi)
        self.size = _odd_side(self.length[1])

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


class Defocus(Kernel):
    """Disks: a lens out of focus.

    Args:
        radius: range of the radius, in pixels.
    """

    name = "defocus"

    def __init__(self, *, radius: Range) -> None:
        self.radius = check_range("Defocus.radius", radius, 0, 1e3)
        self.size = _odd_side(2 * self.radius[1])

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `radius`."""
        return {"radius": rows.uniform(*self.radius)}

    def kernels(self, params: Params, size: int) -> Kernels:
        """A disk whose rim fades over one pixel."""
        return ops.normalised(ops.disk(params["radius"], size))


def _odd_side(width: float) -> int:
    """Side of the square that holds something so wide, with its rim."""
    return 2 * math.ceil((width + 1) / 2) + 1

"""Kinds of noise, with a strength per sample."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from srlit.degradation.stage import Configured, LevelRange, NonNegativeRange, PositiveRange
from srlit.ops.colour import luma
from srlit.ops.noise import normal_noise, poisson_noise
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import RowGenerator
from srlit.types import Fraction

Pixels = Float[Tensor, "n 3 h w"]
Bits = Int32[Tensor, "n 3 h w"]


def per_sample(value: Float[Tensor, " n"], like: Tensor) -> Float[Tensor, "n 1 1 1"]:
    """One number per sample, in the shape and type that broadcasts against images."""
    return value.view(-1, 1, 1, 1).to(like.dtype)


class NoiseKind(Configured, ABC):
    """A kind of noise.

    Attributes:
        name: used in reports and records.
        gray: probability that all channels receive the same noise.
    """

    name: ClassVar[str]
    gray = 0.0

    @abstractmethod
    def sample(self, rows: RowGenerator) -> Params:
        """Draw strengths, (n,) each."""

    @abstractmethod
    def noisy(self, x: Pixels, bits: Bits, params: Params) -> Pixels:
        """Add noise computed from 16 random bits per pixel and channel.

        Args:
            x: images in [0, 1].
            bits: the same in all channels where `params["gray"]`.
            params: what `sample` drew, and `gray` (n,) where `gray` > 0.
        """


class GaussianNoise(NoiseKind):
    """x + sigma z, z ~ N(0, 1).

    Args:
        sigma: range of the standard deviation in 8-bit levels (0 to 255).
        gray: probability that all channels receive the same z.
    """

    name = "gaussian"
    sigma: LevelRange
    gray: Fraction = 0.0

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `sigma`, in levels."""
        return {"sigma": rows.uniform(*self.sigma)}

    def noisy(self, x: Pixels, bits: Bits, params: Params) -> Pixels:
        """X + sigma z."""
        z = normal_noise(bits).to(x.dtype)
        return torch.addcmul(x, per_sample(params["sigma"] / 255, x), z)


class SpeckleNoise(GaussianNoise):
    """x + x sigma z, z ~ N(0, 1): noise proportional to the signal.

    Args:
        sigma: range of the standard deviation of a white pixel in 8-bit levels (0 to 255).
        gray: probability that all channels receive the same z.
    """

    name = "speckle"

    def noisy(self, x: Pixels, bits: Bits, params: Params) -> Pixels:
        """X + x sigma z."""
        z = normal_noise(bits).to(x.dtype)
        return torch.addcmul(x, x * per_sample(params["sigma"] / 255, x), z)


class PoissonNoise(NoiseKind):
    """Photon noise: x + gain (Poisson(x photons) / photons - x).

    Args:
        photons: range of the photons per white pixel; fewer photons, more noise.
        gain: range of the factor of the noise; 1 is physical.
        gray: probability that the noise is that of the gray image, the same in all channels.
    """

    name = "poisson"
    photons: PositiveRange
    gain: NonNegativeRange = (1.0, 1.0)
    gray: Fraction = 0.0

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `photons` and `gain`."""
        return {"photons": rows.uniform(*self.photons), "gain": rows.uniform(*self.gain)}

    def noisy(self, x: Pixels, bits: Bits, params: Params) -> Pixels:
        """Photon counts from their quantile function, divided by `photons`."""
        clean = x.clamp(0, 1)
        if self.gray:
            clean = torch.where(params["gray"].view(-1, 1, 1, 1), luma(clean).expand_as(x), clean)
        photons = per_sample(params["photons"], x)
        noise = poisson_noise(clean * photons, bits).div_(photons).sub_(clean)
        return torch.addcmul(x, per_sample(params["gain"], x), noise)


class CorrelatedNoise(NoiseKind):
    """Gaussian noise whose channels are correlated: x + sigma U' sqrt(D) z.

    D is diagonal and uniform in (0, 1), U a random rotation, z ~ N(0, 1): covariance U' D U.

    Args:
        sigma: range of the largest standard deviation in 8-bit levels (0 to 255).

    Source: K. Zhang et al., "Designing a practical degradation model" (ICCV 2021), section 3.3.
    """

    name = "correlated"
    sigma: LevelRange

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `sigma`, in levels, and `mixing` (n, 3, 3): U' sqrt(D)."""
        spread = torch.stack([rows.uniform() for _ in range(3)], 1).sqrt()
        return {
            "sigma": rows.uniform(*self.sigma),
            "mixing": _random_rotations(rows).transpose(1, 2) * spread[:, None, :],
        }

    def noisy(self, x: Pixels, bits: Bits, params: Params) -> Pixels:
        """Mix the channels of white noise."""
        mixing = (params["mixing"] * (params["sigma"] / 255).view(-1, 1, 1)).to(x.dtype)
        return x + torch.einsum("ndc,nchw->ndhw", mixing, normal_noise(bits).to(x.dtype))


def _random_rotations(rows: RowGenerator) -> Float[Tensor, "n 3 3"]:
    """Uniform rotations, from uniform unit quaternions.

    Source: K. Shoemake, "Uniform random rotations" (Graphics Gems III, 1992).
    """
    u, angle_1, angle_2 = rows.uniform(), rows.uniform(0, math.tau), rows.uniform(0, math.tau)
    a, b = (1 - u).sqrt(), u.sqrt()
    x, y, z, w = a * angle_1.sin(), a * angle_1.cos(), b * angle_2.sin(), b * angle_2.cos()
    elements = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(elements, 1).view(-1, 3, 3)

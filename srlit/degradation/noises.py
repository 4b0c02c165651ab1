"""Kinds of noise, each with one strength a sample."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Shaped
from torch import Tensor

from srlit.degradation.checks import Range, check_range
from srlit.ops.noise import poisson_quantile
from srlit.ops.rng import RowGenerator, normal_from_uniform


def per_sample(value: Shaped[Tensor, " n"]) -> Shaped[Tensor, "n 1 1 1"]:
    """One number a sample, ready to meet images."""
    return value.view(-1, 1, 1, 1)


@runtime_checkable
class NoiseKind(Protocol):
    """A kind of noise with one strength a sample."""

    def strength(self, rows: RowGenerator) -> Float[Tensor, " n"]:
        """Draw the strength."""
        ...

    def noisy(
        self,
        x: Float[Tensor, "n 3 h w"],
        u: Float[Tensor, "n 3 h w"],
        strength: Float[Tensor, " n"],
    ) -> Float[Tensor, "n 3 h w"]:
        """The images with noise whose quantiles are `u`."""
        ...


class GaussianNoise:
    """x + sigma z, z ~ N(0, 1) in every pixel and channel.

    Args:
        sigma: range of the standard deviation in 8-bit levels (0 to 255).
    """

    def __init__(self, *, sigma: Range) -> None:
        self.sigma = check_range("GaussianNoise.sigma", sigma, 0, 255)

    def strength(self, rows: RowGenerator) -> Float[Tensor, " n"]:
        """Draw sigma, in units of [0, 1] images."""
        return rows.uniform(*self.sigma) / 255

    def noisy(
        self,
        x: Float[Tensor, "n 3 h w"],
        u: Float[Tensor, "n 3 h w"],
        strength: Float[Tensor, " n"],
    ) -> Float[Tensor, "n 3 h w"]:
        """X + sigma * quantile(u)."""
        return x + per_sample(strength) * normal_from_uniform(u)


class PoissonNoise:
    """Photon noise: Poisson(x * scale) / scale; the fewer photons, the stronger.

    Args:
        scale: range of the photons a white pixel receives.
    """

    def __init__(self, *, scale: Range) -> None:
        self.scale = check_range("PoissonNoise.scale", scale, 1e-3, 1e6)

    def strength(self, rows: RowGenerator) -> Float[Tensor, " n"]:
        """Draw the number of photons of a white pixel."""
        return rows.uniform(*self.scale)

    def noisy(
        self,
        x: Float[Tensor, "n 3 h w"],
        u: Float[Tensor, "n 3 h w"],
        strength: Float[Tensor, " n"],
    ) -> Float[Tensor, "n 3 h w"]:
        """Counts by their quantile, divided by the photons again."""
        photons = per_sample(strength)
        return poisson_quantile(x.clamp(0, 1) * photons, u) / photons

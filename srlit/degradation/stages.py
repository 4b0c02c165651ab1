"""The stages: what may happen to an image on its way, every parameter drawn per sample.

`sample(rows)` draws one row of parameters a sample; `apply(x, params)` is deterministic. Choices
between kinds are drawn as numbers and used through `apply_to_rows` or tables, so that nothing waits
for the device and no sample depends on its batch mates.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from srlit.ops.filters import box_taps, gaussian_taps, separable_filter
from srlit.ops.jpeg import jpeg
from srlit.ops.noise import poisson_quantile
from srlit.ops.resize import decimation_pad, decimation_table, decimation_taps, imresize
from srlit.ops.rng import RowGenerator, constant, normal_from_uniform, uniform_field
from srlit.ops.rows import RowFunction, apply_to_rows

Params = Mapping[str, Tensor]
Range = Sequence[float]


@runtime_checkable
class Stage(Protocol):
    """One step of a degradation."""

    @property
    def shrink(self) -> int:
        """Factor by which the stage divides the size; 1 where it keeps it."""
        ...

    def sample(self, rows: RowGenerator) -> Params:
        """Draw parameters, each of shape (n, ...)."""
        ...

    def apply(self, x: Float[Tensor, "n 3 h w"], params: Params) -> Float[Tensor, "n 3 oh ow"]:
        """Degrade images in [0, 1] with drawn parameters; n rows of both belong together."""
        ...


def check_range(name: str, values: Range, low: float, high: float) -> tuple[float, float]:
    """Return (least, greatest) or raise ValueError naming what is wrong with them."""
    if len(values) != 2 or not low <= values[0] <= values[1] <= high:
        msg = f"{name}={list(values)}: expected [least, greatest] within {low:g} to {high:g}"
        raise ValueError(msg)
    return float(values[0]), float(values[1])


def per_sample(value: Shaped[Tensor, " n"]) -> Shaped[Tensor, "n 1 1 1"]:
    """One number a sample, ready to meet images."""
    return value.view(-1, 1, 1, 1)


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


def check_sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the kernel sizes or raise ValueError where one is even or below 1."""
    if not sizes or any(size < 1 or size % 2 == 0 for size in sizes):
        msg = f"{name}={list(sizes)}: expected odd numbers >= 1"
        raise ValueError(msg)
    return tuple(sizes)


def draw_size(rows: RowGenerator, sizes: Sequence[int]) -> Tensor:
    """One of `sizes` a row, all equally likely."""
    table = constant(tuple(sizes), rows.rows.device)
    return table[rows.integers(0, len(sizes) - 1)]


class Blur:
    """Blur by a kernel from one of several families.

    Args:
        kernels: the families.
        weights: how often each is taken; equally often without it.
    """

    shrink = 1

    def __init__(
        self, *, kernels: Sequence[Kernel], weights: Sequence[float] | None = None
    ) -> None:
        self.kernels = list(kernels)
        self.weights = check_weights("Blur.weights", weights, len(self.kernels))
        self.size = max(kernel.size for kernel in self.kernels)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw family and kernel: `taps` (n, size)."""
        family = rows.categorical(self.weights)
        drawn = [kernel.taps(rows, self.size) for kernel in self.kernels]
        choice = torch.nn.functional.one_hot(family, len(drawn)).float()
        return {"taps": torch.einsum("nf,fnk->nk", choice, torch.stack(drawn))}

    def apply(self, x: Float[Tensor, "n 3 h w"], params: Params) -> Float[Tensor, "n 3 h w"]:
        """Correlate with the kernel; the border pixel is repeated outside."""
        return separable_filter(x, params["taps"], pad=(self.size // 2, self.size // 2))


def check_weights(name: str, weights: Sequence[float] | None, count: int) -> list[float]:
    """The weights, equal ones where None; ValueError where they are not `count` numbers >= 0."""
    if weights is None:
        return [1.0] * count
    if len(weights) != count or min(weights) < 0 or sum(weights) <= 0:
        msg = f"{name}={list(weights)}: expected {count} numbers >= 0 with a positive sum"
        raise ValueError(msg)
    return list(weights)


class Decimate:
    """Shrink by an integer without antialiasing, by a kind of interpolation drawn per sample.

    Args:
        scale: how many pixels become one along each axis.
        kinds: of 'bilinear', 'bicubic', 'area', all equally likely.
    """

    def __init__(self, *, scale: int, kinds: Sequence[str]) -> None:
        self.shrink = scale
        self.kinds = list(kinds)
        for kind in self.kinds:
            decimation_taps(kind, scale)  # an unknown kind is an error now, not in the first step

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), an index into `kinds`."""
        return {"kind": rows.integers(0, len(self.kinds) - 1)}

    def apply(self, x: Float[Tensor, "n 3 h w"], params: Params) -> Float[Tensor, "n 3 oh ow"]:
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        taps = decimation_table(tuple(self.kinds), self.shrink, x.device)[params["kind"]]
        return separable_filter(x, taps, stride=self.shrink, pad=decimation_pad(self.shrink))


class Bicubic:
    """Shrink by an integer with MATLAB's antialiased bicubic, in 8 bits; draws nothing.

    Args:
        scale: how many pixels become one along each axis.
    """

    def __init__(self, *, scale: int) -> None:
        self.shrink = scale

    def sample(self, rows: RowGenerator) -> Params:  # noqa: ARG002 - the protocol's signature
        """Nothing to draw."""
        return {}

    def apply(
        self,
        x: Float[Tensor, "n 3 h w"],
        params: Params,  # noqa: ARG002 - the protocol's signature
    ) -> Float[Tensor, "n 3 oh ow"]:
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        return imresize(x, 1 / self.shrink)


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


class Noise:
    """Noise of one of several kinds.

    Args:
        kinds: the kinds.
        weights: how often each is taken; equally often without it.
    """

    shrink = 1

    def __init__(
        self, *, kinds: Sequence[NoiseKind], weights: Sequence[float] | None = None
    ) -> None:
        self.kinds = list(kinds)
        self.weights = check_weights("Noise.weights", weights, len(self.kinds))

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), `strength` (n, kinds) and the `key` (n,) of the field."""
        kind = rows.categorical(self.weights)
        strengths = [kind.strength(rows) for kind in self.kinds]
        return {"kind": kind, "strength": torch.stack(strengths, 1), "key": rows.keys()}

    def apply(self, x: Float[Tensor, "n 3 h w"], params: Params) -> Float[Tensor, "n 3 h w"]:
        """Each sample receives the noise of its own kind."""
        result = x
        for index, kind in enumerate(self.kinds):
            drawn = {"strength": params["strength"][:, index], "key": params["key"]}
            result = apply_to_rows(params["kind"] == index, _add(kind), result, drawn)
        return result


def _add(kind: NoiseKind) -> RowFunction:
    """Noise of one kind, from the uniform field of each sample's key."""

    def add(x: Tensor, drawn: Params) -> Tensor:
        return kind.noisy(x, uniform_field(drawn["key"], x.shape[1:]), drawn["strength"])

    return add


class Jpeg:
    """JPEG compression, or none.

    Args:
        quality: range of whole qualities, 1 to 100.
        p: probability of compressing at all.
        subsampling: '4:2:0' (what cameras and libraries do) or '4:4:4'.
    """

    shrink = 1

    def __init__(self, *, quality: Range, p: float = 1.0, subsampling: str = "4:2:0") -> None:
        low, high = check_range("Jpeg.quality", quality, 1, 100)
        check_range("Jpeg.p", (0, p), 0, 1)
        self.quality = int(low), int(high)
        self.p = p
        self.subsampling = subsampling

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `used` (n,) and `quality` (n,)."""
        return {"used": rows.bernoulli(self.p), "quality": rows.integers(*self.quality).float()}

    def apply(self, x: Float[Tensor, "n 3 h w"], params: Params) -> Float[Tensor, "n 3 h w"]:
        """Round to 8 bits, encode, decode."""
        return apply_to_rows(params["used"], self._code, x, params)

    def _code(self, x: Tensor, params: Params) -> Tensor:
        return jpeg(x.clamp(0, 1), params["quality"], subsampling=self.subsampling)


class Quantise:
    """Round to 8 bits, as any image file does; draws nothing."""

    shrink = 1

    def sample(self, rows: RowGenerator) -> Params:  # noqa: ARG002 - the protocol's signature
        """Nothing to draw."""
        return {}

    def apply(
        self,
        x: Float[Tensor, "n 3 h w"],
        params: Params,  # noqa: ARG002 - the protocol's signature
    ) -> Float[Tensor, "n 3 h w"]:
        """Clamp to [0, 1] and round to multiples of 1/255."""
        return (x.clamp(0, 1) * 255).round_().div_(255)

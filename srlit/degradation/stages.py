"""The stages: what may happen to an image on its way, every parameter drawn per sample.

`sample(rows)` draws one row of parameters a sample; `apply(x, params)` is deterministic. Choices
between kinds are drawn as numbers and used through `apply_to_rows` or tables, so that nothing waits
for the device and no sample depends on its batch mates.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.degradation.checks import Range, check_range, check_weights
from srlit.degradation.kernels import Kernel
from srlit.degradation.noises import NoiseKind
from srlit.ops.filters import separable_filter
from srlit.ops.jpeg import jpeg
from srlit.ops.resize import decimation_pad, decimation_table, decimation_taps, imresize
from srlit.ops.rng import RowGenerator, uniform_field
from srlit.ops.rows import RowFunction, apply_to_rows

Params = Mapping[str, Tensor]


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

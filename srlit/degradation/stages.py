"""The stages: what may happen to images on their way, every parameter drawn per sample.

`sample(rows)` draws one row of parameters a sample; `apply(canvas, params)` is deterministic.
Choices between kinds are drawn as numbers and used through masks, so that nothing waits for the
device and no sample depends on its batch mates.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial, reduce

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.degradation.checks import (
    Range,
    check_number,
    check_range,
    check_ranges,
    check_sizes,
    check_weights,
)
from srlit.degradation.kernels import Kernel, Kernels, SeparableKernel
from srlit.degradation.noises import NoiseKind
from srlit.ops.filters import dense_filter, separable_filter, unsharp_mask
from srlit.ops.ragged_batch import Params, RaggedBatch, apply_to_rows, own_rows
from srlit.ops.resize import (
    INTERPOLATIONS,
    decimation_pad,
    decimation_table,
    decimation_taps,
    imresize,
    interpolate,
)
from srlit.ops.rng import RowGenerator, constant, pixel_field

Share = Fraction | None
"""What part of the original size images have; None where it differs from sample to sample."""


class Stage(ABC):
    """One step of a degradation."""

    def sample(self, rows: RowGenerator) -> Params:  # noqa: ARG002 - for stages that draw
        """Draw parameters, each of shape (n, ...); a stage without draws gives none."""
        return {}

    @abstractmethod
    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Degrade images in [0, 1] with drawn parameters; n rows of both belong together.

        Raises:
            ValueError: the images do not suit the stage.
        """

    def share_after(self, share: Share) -> Share:
        """The share of the original size after the stage, for one before it."""
        return share

    def names(self) -> Mapping[str, Sequence[str]]:
        """For parameters that number choices: what each number stands for."""
        return {}


def merge_choices(choice: Int64[Tensor, " n"], drawn: Sequence[Params]) -> dict[str, Tensor]:
    """One table from those of several kinds: each row holds what its own kind drew.

    Where a row's kind has no such parameter it is NaN; 0 for whole numbers.
    """
    merged: dict[str, Tensor] = {}
    for index, params in enumerate(drawn):
        for name, value in params.items():
            missing = float("nan") if value.is_floating_point() else 0
            before = merged.get(name, torch.full_like(value, missing))
            own = (choice == index).view(-1, *[1] * (value.dim() - 1))
            merged[name] = torch.where(own, value, before)
    return merged


def in_float64(params: Params) -> Params:
    """Parameters of kernels: computed in float64, a kernel is the same on every device."""
    return {k: v.double() if v.is_floating_point() else v for k, v in params.items()}


def distinct(names: list[str]) -> list[str]:
    """The names, numbered where one comes again: sinc, sinc_2."""
    return [
        name if names.index(name) == place else f"{name}_{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def require_larger(canvas: RaggedBatch, radius: int, what: str) -> None:
    """ValueError where an image may be no larger than a kernel reaches."""
    if min(canvas.least) <= radius:
        h, w = canvas.least
        msg = (
            f"{what} reaches {radius} pixels, but an image may have only {h}x{w} here: "
            "expected larger patches (data.patch_size) or smaller kernels"
        )
        raise ValueError(msg)


def require_one_size(canvas: RaggedBatch, what: str) -> None:
    """ValueError where samples may differ in size."""
    if canvas.sizes is not None:
        msg = f"{what} needs images of one size: put it before every Resize"
        raise ValueError(msg)


# -- blur -----------------------------------------------------------------------------------------


class Blur(Stage):
    """Blur by a kernel from one of several families.

    Args:
        kernels: the families.
        weights: how often each is taken; equally often without it.
    """

    def __init__(
        self, *, kernels: Sequence[Kernel], weights: Sequence[float] | None = None
    ) -> None:
        self.kernels = list(kernels)
        self.weights = check_weights("Blur.weights", weights, len(self.kernels))
        self.size = max(kernel.size for kernel in self.kernels)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `family` (n,) and its kernel's parameters."""
        return _draw_family(rows, self.kernels, self.weights)

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Correlate with the kernel; the border pixel is repeated outside."""
        require_larger(canvas, self.size // 2, "a blur kernel")
        drawn = {"kernels": self._kernels(params)}
        return canvas.map(lambda x, own: dense_filter(x, own["kernels"]), drawn)

    def _kernels(self, params: Params) -> Kernels:
        """The kernel of each sample's own family."""
        exact = in_float64(params)
        families = (kernel.kernels(exact, self.size) for kernel in self.kernels)
        return own_rows(params["family"], families)

    def names(self) -> Mapping[str, Sequence[str]]:
        """The families."""
        return {"family": distinct([kernel.name for kernel in self.kernels])}


def _draw_family(
    rows: RowGenerator, kernels: Sequence[Kernel], weights: Sequence[float]
) -> dict[str, Tensor]:
    """Draw `family` and what it needs."""
    family = rows.categorical(weights)
    return {"family": family, **merge_choices(family, [kernel.sample(rows) for kernel in kernels])}


class _IntegerShrink(Stage):
    """A stage that divides both sides of images of one size by `scale`."""

    scale: int

    def share_after(self, share: Share) -> Share:
        """A `scale`th."""
        return None if share is None else share / self.scale


class Decimate(_IntegerShrink):
    """Shrink by an integer without antialiasing, by a kind of interpolation drawn per sample.

    Args:
        scale: how many pixels become one along each axis.
        kinds: of 'bilinear', 'bicubic', 'area', all equally likely.
    """

    def __init__(self, *, scale: int, kinds: Sequence[str]) -> None:
        self.scale = scale
        self.kinds = list(kinds)
        check_weights("Decimate.kinds", None, len(self.kinds))
        for kind in self.kinds:
            decimation_taps(kind, scale)  # an unknown kind is an error now, not in the first step

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), an index into `kinds`."""
        return {"kind": rows.integers(0, len(self.kinds) - 1)}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        require_one_size(canvas, "Decimate")
        pad = decimation_pad(self.scale)
        pixels = separable_filter(canvas.pixels, self.taps(params), stride=self.scale, pad=pad)
        return canvas.resized(pixels)

    def taps(self, params: Params) -> Float[Tensor, "n scale4"]:
        """The taps of each sample's kind."""
        table = decimation_table(tuple(self.kinds), self.scale, params["kind"].device)
        return table[params["kind"]]

    def names(self) -> Mapping[str, Sequence[str]]:
        """The interpolations."""
        return {"kind": self.kinds}


class BlurDecimate(Decimate):
    """Blur, then shrink by an integer, both linear and therefore one strided filter.

    The same as `Blur` and `Decimate` on an image whose border goes on for ever; a quarter of their
    time, as the pixels between are never computed.

    Args:
        kernels: families of separable kernels.
        scale: how many pixels become one along each axis.
        kinds: of 'bilinear', 'bicubic', 'area', all equally likely.
        weights: how often each family is taken; equally often without it.
    """

    def __init__(
        self,
        *,
        kernels: Sequence[SeparableKernel],
        scale: int,
        kinds: Sequence[str],
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(scale=scale, kinds=kinds)
        self.kernels = list(kernels)
        self.weights = check_weights("BlurDecimate.weights", weights, len(self.kernels))
        self.size = max(kernel.size for kernel in self.kernels)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `family` (n,), its kernel's parameters, and `kind` (n,)."""
        return {**_draw_family(rows, self.kernels, self.weights), **super().sample(rows)}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        require_one_size(canvas, "BlurDecimate")
        require_larger(canvas, self.size // 2, "a blur kernel")
        exact = in_float64(params)
        families = (kernel.taps(exact, self.size) for kernel in self.kernels)
        blur, shrink = own_rows(params["family"], families), self.taps(params)
        taps = _convolved(blur, shrink)
        before, after = decimation_pad(self.scale)
        pad = before + self.size // 2, after + self.size // 2
        return canvas.resized(separable_filter(canvas.pixels, taps, stride=self.scale, pad=pad))

    def names(self) -> Mapping[str, Sequence[str]]:
        """The families and the interpolations."""
        return {**super().names(), "family": distinct([kernel.name for kernel in self.kernels])}


def _convolved(a: Float[Tensor, "n j"], b: Float[Tensor, "n k"]) -> Float[Tensor, "n jk"]:
    """Full convolution of each row of a with the same row of b; a is symmetric."""
    padded = F.pad(b, (a.shape[1] - 1, a.shape[1] - 1))
    return (padded.unfold(1, a.shape[1], 1) * a[:, None]).sum(2)


# -- size -----------------------------------------------------------------------------------------


class Bicubic(_IntegerShrink):
    """Shrink by an integer with MATLAB's antialiased bicubic, in 8 bits; draws nothing.

    Args:
        scale: how many pixels become one along each axis.
    """

    def __init__(self, *, scale: int) -> None:
        self.scale = scale

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:  # noqa: ARG002 - draws nothing
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        require_one_size(canvas, "Bicubic")
        return canvas.resized(imresize(canvas.pixels, 1 / self.scale))


class Resize(Stage):
    """Resize every sample to a size and by an interpolation of its own.

    The new size is the original one (before the first stage) times `factor` / `shrink`, rounded
    down. [[1, 1]] brings all samples to the same size again.

    Args:
        factors: ranges of the factor; one is chosen, then a number in it.
        weights: how often each range is taken; equally often without it.
        kinds: of `ops.resize.INTERPOLATIONS`, all equally likely.
        shrink: by how much a factor of 1 shrinks, a whole number.
    """

    def __init__(
        self,
        *,
        factors: Sequence[Range],
        kinds: Sequence[str],
        weights: Sequence[float] | None = None,
        shrink: int = 1,
    ) -> None:
        self.factors = check_ranges("Resize.factors", factors, 1e-3, 64)
        self.weights = check_weights("Resize.weights", weights, len(self.factors))
        self.kinds = list(kinds)
        self.shrink = shrink
        unknown = sorted({*self.kinds} - {*INTERPOLATIONS})
        if unknown or not self.kinds:
            msg = f"Resize.kinds={self.kinds}: expected some of {', '.join(INTERPOLATIONS)}"
            raise ValueError(msg)
        self.least_factor = min(low for low, _ in self.factors)
        self.greatest_factor = max(high for _, high in self.factors)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `factor` (n,) and `kind` (n,), an index into `kinds`."""
        direction = rows.categorical(self.weights)
        factors = torch.stack([rows.uniform(low, high) for low, high in self.factors], 1)
        factor = factors.gather(1, direction[:, None])[:, 0]
        return {"factor": factor, "kind": rows.integers(0, len(self.kinds) - 1)}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Every sample to its own size; the canvas holds the largest that may be drawn."""
        least = self._size(canvas.hr, self.least_factor)
        largest = self._size(canvas.hr, self.greatest_factor)
        if min(least) < 1:
            msg = (
                f"Resize.factors={[list(pair) for pair in self.factors]} with shrink={self.shrink} "
                f"leaves {least[0]}x{least[1]} pixels of {canvas.hr[0]}x{canvas.hr[1]}: "
                "expected larger patches (data.patch_size) or factors"
            )
            raise ValueError(msg)
        known = partial(constant, device=canvas.pixels.device, dtype=torch.int64)
        original = known(canvas.hr)
        sizes = (params["factor"].double()[:, None] * original / self.shrink).long()
        # A factor drawn in float32 may lie below the range by its last bit.
        sizes = torch.minimum(torch.maximum(sizes, known(least)), known(largest))
        pixels = interpolate(
            canvas.extended(), canvas.own_sizes(), sizes, params["kind"], self.kinds, largest
        )
        return RaggedBatch(pixels, canvas.hr, None if least == largest else sizes, least)

    def _size(self, original: tuple[int, int], factor: float) -> tuple[int, int]:
        """Height and width for a factor."""
        h, w = (int(factor * side / self.shrink) for side in original)
        return h, w

    def share_after(self, share: Share) -> Share:  # noqa: ARG002 - whatever it was before
        """A `shrink`th where the factor is always 1."""
        return Fraction(1, self.shrink) if self.least_factor == self.greatest_factor == 1 else None

    def names(self) -> Mapping[str, Sequence[str]]:
        """The interpolations."""
        return {"kind": self.kinds}


class Shrink(Resize):
    """Resize every sample to the original size divided by a number drawn uniformly.

    Args:
        divisor: range of the number.
        kinds: of `ops.resize.INTERPOLATIONS`, all equally likely.
    """

    def __init__(self, *, divisor: Range, kinds: Sequence[str]) -> None:
        self.divisor = check_range("Shrink.divisor", divisor, 1e-2, 1e3)
        least, largest = self.divisor
        super().__init__(factors=[[1 / largest, 1 / least]], kinds=kinds)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `factor` (n,), 1 / the number, and `kind` (n,)."""
        drawn = super().sample(rows)
        return {**drawn, "factor": 1 / rows.uniform(*self.divisor)}


# -- noise ----------------------------------------------------------------------------------------


class Noise(Stage):
    """Noise of one of several kinds; what leaves [0, 1] is cut off, as by a sensor or a file.

    Args:
        kinds: the kinds.
        weights: how often each is taken; equally often without it.
    """

    def __init__(
        self, *, kinds: Sequence[NoiseKind], weights: Sequence[float] | None = None
    ) -> None:
        self.kinds = list(kinds)
        self.weights = check_weights("Noise.weights", weights, len(self.kinds))

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), its strengths, `gray` (n,) and the `key` (n,) of the field."""
        kind = rows.categorical(self.weights)
        drawn = [dict(one.sample(rows)) for one in self.kinds]
        for one, params in zip(self.kinds, drawn, strict=True):
            if one.gray:
                params["gray"] = rows.bernoulli(one.gray)
        return {"kind": kind, **merge_choices(kind, drawn), "key": rows.keys()}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Each sample receives the noise of its own kind."""
        # Where a device computes every kind for every sample, strengths that were not drawn must
        # still be numbers.
        params = {
            name: value.nan_to_num(1.0) if value.is_floating_point() else value
            for name, value in params.items()
        }
        for index, kind in enumerate(self.kinds):

            def add(part: RaggedBatch, own: Params, kind: NoiseKind = kind) -> RaggedBatch:
                return part.map(lambda x, row: _add(kind, x, row), own)

            canvas = apply_to_rows(params["kind"] == index, add, canvas, params)
        return canvas

    def names(self) -> Mapping[str, Sequence[str]]:
        """The kinds."""
        return {"kind": distinct([kind.name for kind in self.kinds])}


def _add(kind: NoiseKind, x: Float[Tensor, "n 3 h w"], params: Params) -> Tensor:
    """Noise of one kind, from the bits that belong to each sample's key."""
    _, c, h, w = x.shape
    bits = pixel_field(params["key"], (c, h, w))
    if kind.gray:
        bits = torch.where(params["gray"].view(-1, 1, 1, 1), bits[:, :1], bits)
    return kind.noisy(x, bits, params).clamp_(0, 1)


# -- the rest -------------------------------------------------------------------------------------


class Sharpen(Stage):
    """Unsharp mask where it makes a difference above a threshold; draws nothing.

    Args:
        sigma: of the Gaussian that is subtracted, in pixels.
        size: odd side of its kernel.
        amount: factor of the difference that is added.
        threshold: in 8-bit levels.

    Source: Real-ESRGAN's USMSharp, with its defaults (an OpenCV Gaussian of size 51).
    """

    def __init__(
        self, *, sigma: float = 8.0, size: int = 51, amount: float = 0.5, threshold: float = 10.0
    ) -> None:
        self.sigma = check_number("Sharpen.sigma", sigma, 1e-3, 1e3)
        self.size = check_sizes("Sharpen.size", [size])[0]
        self.amount = check_number("Sharpen.amount", amount, 0, 100)
        self.threshold = check_number("Sharpen.threshold", threshold, 0, 255)

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Sharpen."""
        require_larger(canvas, self.size // 2, "Sharpen")

        def sharpen(x: Tensor, _: Params) -> Tensor:
            return unsharp_mask(
                x,
                sigma=self.sigma,
                size=self.size,
                amount=self.amount,
                threshold=self.threshold / 255,
            )

        return canvas.map(sharpen, params)


class Quantise(Stage):
    """Round to 8 bits, as any image file does; draws nothing."""

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Clamp to [0, 1] and round to multiples of 1/255."""
        return canvas.map(lambda x, _: (x.clamp(0, 1) * 255).round_().div_(255), params)


def share_after_all(stages: Sequence[Stage], share: Share) -> Share:
    """The share of the original size after stages in a row."""
    return reduce(lambda before, stage: stage.share_after(before), stages, share)

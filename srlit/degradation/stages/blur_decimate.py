"""Blur and shrink in one strided filter."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srlit.degradation.kernels import SeparableKernel
from srlit.degradation.stage import require_larger
from srlit.degradation.stages.blur import Blur, in_float64
from srlit.degradation.stages.decimate import Decimate
from srlit.ops.filters import separable_filter
from srlit.ops.ragged_batch import Params, RaggedBatch, own_rows
from srlit.ops.resize import decimation_pad
from srlit.ops.rng import RowGenerator


class BlurDecimate(Decimate):
    """Blur, then shrink by an integer: two linear steps, computed as one strided filter.

    Equal to `Blur` and `Decimate` away from the border, in a quarter of their time, as the pixels
    between the two are never computed.

    Args:
        kernels: families of separable kernels.
        scale: divides both sides.
        kinds: of 'bilinear', 'bicubic', 'area', all equally likely.
        weights: relative frequency of each family; equal without it.
    """

    kernels: Sequence[SeparableKernel]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.blur = Blur(kernels=self.kernels, weights=self.weights)
        self.names = {**self.names, **self.blur.names}

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `family` (n,), the parameters of its kernel, and `kind` (n,)."""
        return {**self.blur.sample(rows), **super().sample(rows)}

    def shrunk(self, batch: RaggedBatch, params: Params) -> Float[Tensor, "n 3 h w"]:
        """One strided filter with the convolution of both taps."""
        size, exact = self.blur.size, in_float64(params)
        require_larger(batch, size // 2, "a blur kernel")
        families = (kernel.taps(exact, size) for kernel in self.kernels)
        taps = _convolve(own_rows(params["family"], families), self.taps(params))
        before, after = decimation_pad(self.scale)
        pad = before + size // 2, after + size // 2
        return separable_filter(batch.pixels, taps, stride=self.scale, pad=pad)


def _convolve(a: Float[Tensor, "n j"], b: Float[Tensor, "n k"]) -> Float[Tensor, "n jk"]:
    """Full convolution of each row of a with the same row of b; a is symmetric."""
    padded = F.pad(b, (a.shape[1] - 1, a.shape[1] - 1))
    return (padded.unfold(1, a.shape[1], 1) * a[:, None]).sum(2)

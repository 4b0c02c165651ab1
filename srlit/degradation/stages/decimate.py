"""Shrink by an integer without antialiasing."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import MinLen
from jaxtyping import Float
from torch import Tensor

from srlit.degradation.stage import InterpolatedShrink
from srlit.ops.filters import separable_filter
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.resize import Decimation, decimation_pad, decimation_table

Decimations = Annotated[Sequence[Decimation], MinLen(1), "some of bilinear, bicubic, area"]


class Decimate(InterpolatedShrink):
    """Shrink by an integer without antialiasing, by an interpolation drawn per sample.

    Args:
        scale: divides both sides.
        kinds: of 'bilinear', 'bicubic', 'area', all equally likely.
    """

    kinds: Decimations

    def shrunk(self, batch: RaggedBatch, params: Params) -> Float[Tensor, "n 3 h w"]:
        """One strided filter."""
        pad = decimation_pad(self.scale)
        return separable_filter(batch.pixels, self.taps(params), stride=self.scale, pad=pad)

    def taps(self, params: Params) -> Float[Tensor, "n scale4"]:
        """The filter taps of each sample's interpolation."""
        table = decimation_table(tuple(self.kinds), self.scale, params["kind"].device)
        return table[params["kind"]]

"""Shrink by an integer without antialiasing."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import MinLen
from jaxtyping import Float
from torch import Tensor

from srlit.degradation.stage import IntegerShrink, require_one_size
from srlit.ops.filters import separable_filter
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.resize import Decimation, decimation_pad, decimation_table
from srlit.ops.rng import RowGenerator
from srlit.types import Count

Decimations = Annotated[Sequence[Decimation], MinLen(1), "some of bilinear, bicubic, area"]


class Decimate(IntegerShrink):
    """Shrink by an integer without antialiasing, by an interpolation drawn per sample.

    Args:
        scale: divides both sides.
        kinds: of 'bilinear', 'bicubic', 'area', all equally likely.
    """

    def __init__(self, *, scale: Count, kinds: Decimations) -> None:
        self.scale = scale
        self.kinds = list(kinds)
        self.names = {"kind": self.kinds}

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), an index into `kinds`."""
        return {"kind": rows.integers(0, len(self.kinds) - 1)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        require_one_size(batch, "Decimate")
        pad = decimation_pad(self.scale)
        pixels = separable_filter(batch.pixels, self.taps(params), stride=self.scale, pad=pad)
        return batch.resized(pixels)

    def taps(self, params: Params) -> Float[Tensor, "n scale4"]:
        """The filter taps of each sample's interpolation."""
        table = decimation_table(tuple(self.kinds), self.scale, params["kind"].device)
        return table[params["kind"]]

"""MATLAB's bicubic shrink."""

from srlit.degradation.stage import IntegerShrink, require_one_size
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.resize import imresize
from srlit.types import Count


class Bicubic(IntegerShrink):
    """Shrink by an integer with MATLAB's antialiased bicubic, in 8 bits; draws nothing.

    Args:
        scale: divides both sides.
    """

    def __init__(self, *, scale: Count) -> None:
        self.scale = scale

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:  # noqa: ARG002 - draws nothing
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        require_one_size(batch, "Bicubic")
        return batch.resized(imresize(batch.pixels, 1 / self.scale))

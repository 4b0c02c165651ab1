"""MATLAB's bicubic shrink."""

from jaxtyping import Float
from torch import Tensor

from srlit.degradation.stage import IntegerShrink
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.resize import imresize


class Bicubic(IntegerShrink):
    """Shrink by an integer with MATLAB's antialiased bicubic, in 8 bits; draws nothing.

    Args:
        scale: divides both sides.
    """

    def shrunk(self, batch: RaggedBatch, params: Params) -> Float[Tensor, "n 3 h w"]:  # noqa: ARG002 - draws nothing
        """As MATLAB's imresize."""
        return imresize(batch.pixels, 1 / self.scale)

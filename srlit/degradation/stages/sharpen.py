"""Unsharp masking."""

from typing import Annotated

from annotated_types import Interval

from srlit.degradation.argument_types import OddSize
from srlit.degradation.stage import Stage, require_larger
from srlit.ops.filters import unsharp_mask
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.types import NonNegative, Positive


class Sharpen(Stage):
    """Unsharp mask where it changes a pixel by more than a threshold; draws nothing.

    Args:
        sigma: of the Gaussian that is subtracted, in pixels.
        size: odd side of its kernel.
        amount: factor of the difference that is added.
        threshold: in 8-bit levels.

    Source: Real-ESRGAN's USMSharp, with its defaults (an OpenCV Gaussian of size 51).
    """

    def __init__(
        self,
        *,
        sigma: Positive = 8.0,
        size: OddSize = 51,
        amount: NonNegative = 0.5,
        threshold: Annotated[float, Interval(ge=0, le=255)] = 10.0,
    ) -> None:
        self.size = size
        self.settings = {"sigma": sigma, "amount": amount, "threshold": threshold / 255}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Sharpen."""
        require_larger(batch, self.size // 2, "Sharpen")
        return batch.map(lambda x, _: unsharp_mask(x, size=self.size, **self.settings), params)

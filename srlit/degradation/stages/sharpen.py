"""Unsharp masking."""

from functools import partial

from srlit.degradation.stage import Level, OddSize, Stage, require_larger
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

    sigma: Positive = 8.0
    size: OddSize = 51
    amount: NonNegative = 0.5
    threshold: Level = 10.0

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Sharpen."""
        require_larger(batch, self.size // 2, "Sharpen")
        mask = partial(
            unsharp_mask, sigma=self.sigma, size=self.size, amount=self.amount,
            threshold=self.threshold / 255,
        )  # fmt: skip
        return batch.map(lambda x, _: mask(x), params)

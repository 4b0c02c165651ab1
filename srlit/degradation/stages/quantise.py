"""Round to 8 bits."""

from srlit.degradation.stage import Stage
from srlit.ops.ragged_batch import Params, RaggedBatch


class Quantise(Stage):
    """Round to 8 bits, as any image file does; draws nothing."""

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Clamp to [0, 1] and round to multiples of 1/255."""
        return batch.map(lambda x, _: (x.clamp(0, 1) * 255).round_().div_(255), params)

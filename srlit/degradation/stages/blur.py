"""Blur with a random kernel per sample."""

from collections.abc import Sequence

import torch

from srlit.degradation.kernels import Kernel
from srlit.degradation.stage import Stage, choice_weights, distinct, merge_choices, require_larger
from srlit.ops.filters import dense_filter
from srlit.ops.ragged_batch import Params, RaggedBatch, own_rows
from srlit.ops.rng import RowGenerator


class Blur(Stage):
    """Blur with a kernel from one of several families.

    Args:
        kernels: the families.
        weights: relative frequency of each; equal without it.
    """

    kernels: Sequence[Kernel]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        self.frequencies = choice_weights(self.weights, self.kernels)
        self.names = {"family": distinct([kernel.name for kernel in self.kernels])}
        self.size = max(kernel.size for kernel in self.kernels)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `family` (n,) and the parameters of its kernel."""
        family = rows.categorical(self.frequencies)
        drawn = merge_choices(family, [kernel.sample(rows) for kernel in self.kernels])
        return {"family": family, **drawn}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Correlate with the kernel; the border pixel is repeated outside."""
        require_larger(batch, self.size // 2, "a blur kernel")
        exact = in_float64(params)
        families = (kernel.kernels(exact, self.size) for kernel in self.kernels)
        drawn = {"kernels": own_rows(params["family"], families)}
        return batch.map(lambda x, own: dense_filter(x, own["kernels"]), drawn)


def in_float64(params: Params) -> Params:
    """Kernel parameters in float64, from which every device computes the same kernel."""
    return {k: v.to(torch.float64) if v.is_floating_point() else v for k, v in params.items()}

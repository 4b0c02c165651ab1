"""Blur with a random kernel per sample."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srlit.degradation.argument_types import choice_weights
from srlit.degradation.kernels import Kernel, Kernels
from srlit.degradation.stage import Stage, distinct, merge_choices, require_larger
from srlit.ops.filters import dense_filter
from srlit.ops.ragged_batch import Params, RaggedBatch, own_rows
from srlit.ops.rng import RowGenerator


class Blur(Stage):
    """Blur with a kernel from one of several families.

    Args:
        kernels: the families.
        weights: relative frequency of each; equal without it.
    """

    def __init__(
        self, *, kernels: Sequence[Kernel], weights: Sequence[float] | None = None
    ) -> None:
        self.kernels = list(kernels)
        self.names = {"family": distinct([kernel.name for kernel in kernels])}
        self.weights = choice_weights("Blur.weights", weights, kernels)
        self.size = max(kernel.size for kernel in self.kernels)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `family` (n,) and the parameters of its kernel."""
        return sample_family(rows, self.kernels, self.weights)

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Correlate with the kernel; the border pixel is repeated outside."""
        require_larger(batch, self.size // 2, "a blur kernel")
        drawn = {"kernels": self._kernels(params)}
        return batch.map(lambda x, own: dense_filter(x, own["kernels"]), drawn)

    def _kernels(self, params: Params) -> Kernels:
        """The kernel of each sample's own family."""
        exact = in_float64(params)
        families = (kernel.kernels(exact, self.size) for kernel in self.kernels)
        return own_rows(params["family"], families)


def sample_family(
    rows: RowGenerator, kernels: Sequence[Kernel], weights: Sequence[float]
) -> dict[str, Tensor]:
    """Draw `family` and the parameters of its kernel."""
    family = rows.categorical(weights)
    return {"family": family, **merge_choices(family, [kernel.sample(rows) for kernel in kernels])}


def in_float64(params: Params) -> Params:
    """Kernel parameters in float64, from which every device computes the same kernel."""
    return {k: v.to(torch.float64) if v.is_floating_point() else v for k, v in params.items()}

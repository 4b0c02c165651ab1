"""Resize to a random size."""

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Annotated

import torch
from annotated_types import MinLen

from srlit.degradation.stage import FactorRanges, PositiveRange, RelativeSize, Stage, choice_weights
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.resize import INTERPOLATIONS, Interpolation, interpolate
from srlit.ops.rng import RowGenerator, constant
from srlit.types import Count

SOME = f"some of {', '.join(INTERPOLATIONS)}"
Interpolations = Annotated[Sequence[Interpolation], MinLen(1), SOME]


class Resize(Stage):
    """Resize every sample to a size and by an interpolation of its own.

    The new size is the original one (before the first stage) times `factor` / `shrink`, rounded
    down. [[1, 1]] brings all samples back to one size.

    Args:
        factors: ranges of the factor; one is chosen, then a number in it.
        weights: relative frequency of each range; equal without it.
        kinds: of `ops.resize.INTERPOLATIONS`, all equally likely.
        shrink: divides the size.
    """

    factors: FactorRanges
    kinds: Interpolations
    weights: Sequence[float] | None = None
    shrink: Count = 1

    def __post_init__(self) -> None:
        self.frequencies = choice_weights(self.weights, self.factors)
        self.names = {"kind": self.kinds}
        self.min_factor = min(low for low, _ in self.factors)
        self.max_factor = max(high for _, high in self.factors)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `factor` (n,) and `kind` (n,), an index into `kinds`."""
        direction = rows.categorical(self.frequencies)
        factors = torch.stack([rows.uniform(low, high) for low, high in self.factors], 1)
        factor = factors.gather(1, direction[:, None])[:, 0]
        return {"factor": factor, "kind": rows.integers(0, len(self.kinds) - 1)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Resize every sample; the batch is padded to the largest size that may be drawn."""
        smallest = self._size(batch.hr, self.min_factor)
        largest = self._size(batch.hr, self.max_factor)
        if min(smallest) < 1:
            raise ValueError(
                f"Resize.factors={[list(pair) for pair in self.factors]} with shrink={self.shrink} "
                f"leaves {smallest[0]}x{smallest[1]} pixels of {batch.hr[0]}x{batch.hr[1]}: "
                "expected larger patches (data.patch_size) or factors"
            )
        known = partial(constant, device=batch.pixels.device, dtype=torch.int64)
        sizes = (params["factor"].double()[:, None] * known(batch.hr) / self.shrink).long()
        # A factor drawn in float32 may lie below the range by its last bit.
        sizes = torch.minimum(torch.maximum(sizes, known(smallest)), known(largest))
        pixels = interpolate(
            batch.extended(), batch.own_sizes(), sizes, params["kind"], self.kinds, largest
        )
        return RaggedBatch(pixels, batch.hr, None if smallest == largest else sizes, smallest)

    def _size(self, original: tuple[int, int], factor: float) -> tuple[int, int]:
        """Height and width for a factor."""
        h, w = (int(factor * side / self.shrink) for side in original)
        return h, w

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:  # noqa: ARG002 - any
        """1 / shrink where the factor is always 1, whatever the size before."""
        return Fraction(1, self.shrink) if self.min_factor == self.max_factor == 1 else None


class Shrink(Resize):
    """Resize every sample to the original size divided by a number drawn uniformly.

    Args:
        divisor: range of the number.
        kinds: of `ops.resize.INTERPOLATIONS`, all equally likely.
    """

    def __init__(self, *, divisor: PositiveRange, kinds: Interpolations) -> None:
        self.divisor = divisor
        low, high = divisor
        super().__init__(factors=[[1 / high, 1 / low]], kinds=kinds)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `factor` (n,), 1 / the number, and `kind` (n,)."""
        drawn = super().sample(rows)
        return {**drawn, "factor": 1 / rows.uniform(*self.divisor)}

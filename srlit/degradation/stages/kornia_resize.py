"""Shrink by an integer with kornia's resize."""

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import MinLen
from kornia.geometry import resize

from srlit.degradation.stage import IntegerShrink, require_one_size
from srlit.ops.ragged_batch import Params, RaggedBatch, own_rows
from srlit.ops.rng import RowGenerator
from srlit.types import Count

KorniaInterpolation = Literal["nearest", "bilinear", "bicubic", "area"]
KorniaInterpolations = Annotated[Sequence[KorniaInterpolation], MinLen(1)]


class KorniaResize(IntegerShrink):
    """Shrink by an integer with `kornia.geometry.resize`, by an interpolation drawn per sample.

    Args:
        scale: divides both sides.
        kinds: of 'nearest', 'bilinear', 'bicubic', 'area', all equally likely.
        antialias: low-pass filter before shrinking.
    """

    def __init__(
        self, *, scale: Count, kinds: KorniaInterpolations, antialias: bool = False
    ) -> None:
        self.scale, self.kinds, self.antialias = scale, list(kinds), antialias
        self.names = {"kind": self.kinds}

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), an index into `kinds`."""
        return {"kind": rows.integers(0, len(self.kinds) - 1)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        require_one_size(batch, "KorniaResize")
        h, w = batch.pixels.shape[-2:]
        size = h // self.scale, w // self.scale
        resized = (
            resize(batch.pixels, size, kind, antialias=self.antialias) for kind in self.kinds
        )
        return batch.resized(own_rows(params["kind"], resized))

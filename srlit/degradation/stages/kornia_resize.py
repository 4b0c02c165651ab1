"""Shrink by an integer with kornia's resize."""

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import MinLen
from jaxtyping import Float
from kornia.geometry import resize
from torch import Tensor

from srlit.degradation.stage import InterpolatedShrink
from srlit.ops.ragged_batch import Params, RaggedBatch, own_rows

KorniaInterpolation = Literal["nearest", "bilinear", "bicubic", "area"]


class KorniaResize(InterpolatedShrink):
    """Shrink by an integer with `kornia.geometry.resize`, by an interpolation drawn per sample.

    Args:
        scale: divides both sides.
        kinds: of 'nearest', 'bilinear', 'bicubic', 'area', all equally likely.
        antialias: low-pass filter before shrinking.
    """

    kinds: Annotated[Sequence[KorniaInterpolation], MinLen(1)]
    antialias: bool = False

    def shrunk(self, batch: RaggedBatch, params: Params) -> Float[Tensor, "n 3 h w"]:
        """Each sample by its own interpolation."""
        x = batch.pixels
        size = x.shape[2] // self.scale, x.shape[3] // self.scale
        resized = (resize(x, size, kind, antialias=self.antialias) for kind in self.kinds)
        return own_rows(params["kind"], resized)

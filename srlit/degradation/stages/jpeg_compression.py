"""JPEG compression."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from annotated_types import Interval, MinLen

from srlit.degradation.stage import IsRange, Stage
from srlit.ops.file_codecs import libjpeg
from srlit.ops.jpeg import Subsampling, jpeg
from srlit.ops.ragged_batch import Params, RaggedBatch, apply_to_rows
from srlit.ops.rng import RowGenerator

JpegQuality = Annotated[int, Interval(ge=1, le=100)]
JpegQualities = Annotated[Sequence[JpegQuality], IsRange, "[low, high], whole, within 1 to 100"]


class Jpeg(Stage):
    """JPEG compression: by libjpeg on a CPU, by tensors elsewhere, with bit-identical results.

    Args:
        quality: range of whole qualities, 1 to 100.
        subsamplings: of '4:2:0' (what cameras and libraries do) and '4:4:4', equally likely.
    """

    quality: JpegQualities
    subsamplings: Annotated[Sequence[Subsampling], MinLen(1)] = ("4:2:0",)

    def __post_init__(self) -> None:
        self.names = {"subsampling": self.subsamplings}

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `quality` (n,) and `subsampling` (n,), an index into `subsamplings`."""
        quality = rows.integers(*self.quality)
        return {"quality": quality, "subsampling": rows.integers(0, len(self.subsamplings) - 1)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Round to 8 bits, encode, decode."""
        for index, subsampling in enumerate(self.subsamplings):
            code = partial(_code, subsampling=subsampling)
            batch = apply_to_rows(params["subsampling"] == index, code, batch, params)
        return batch


def _code(batch: RaggedBatch, params: Params, subsampling: Subsampling) -> RaggedBatch:
    """Encode and decode with the faster of the two codecs."""
    quality = params["quality"].float()
    if not batch.pixels.is_cpu:
        pixels = jpeg(batch.extended(), quality, subsampling=subsampling, sizes=batch.sizes)
        return batch.with_pixels(pixels)
    return batch.map(
        lambda x, own: libjpeg(x, own["quality"], subsampling=subsampling), {"quality": quality}
    )

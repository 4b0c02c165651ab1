"""Compression by WebP, AVIF or H.264."""

from srlit.degradation.stage import QualityRange, Stage
from srlit.ops.file_codecs import CODECS, CodecName, encode_decode
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.rng import RowGenerator


class FileCodec(Stage):
    """Compression by an encoder that runs on the CPU; tensors on another device are copied there.

    Args:
        codec: 'webp' and 'avif' (Pillow), or 'h264', one intra frame (PyAV, `srlit[video]`).
        quality: range of whole qualities, 0 to 100; for h264 x264's constant rate factor, 0 (best)
            to 51.
    """

    codec: CodecName
    quality: QualityRange

    def __post_init__(self) -> None:
        codec = CODECS[self.codec]
        codec.require()  # a missing codec is an error now, not after hours
        if self.quality[1] > codec.max_quality:
            expected = f"expected at most {codec.max_quality} for {self.codec}"
            raise ValueError(f"FileCodec.quality={list(self.quality)}: {expected}")

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `quality` (n,)."""
        return {"quality": rows.integers(*self.quality)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Round to 8 bits, encode, decode."""
        device = batch.pixels.device
        sizes = None if batch.sizes is None else batch.sizes.cpu()
        on_cpu = batch._replace(pixels=batch.pixels.cpu(), sizes=sizes)
        coded = on_cpu.map(
            lambda x, own: encode_decode(self.codec, x, own["quality"]),
            {"quality": params["quality"].float().cpu()},
        )
        return batch.with_pixels(coded.pixels.to(device))

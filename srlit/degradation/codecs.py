"""Stages that compress: each sample at a quality of its own."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial

from jaxtyping import Float
from torch import Tensor

from srlit.degradation.checks import Range, check_whole
from srlit.degradation.stages import Stage
from srlit.ops import file_codecs as codecs
from srlit.ops.jpeg import SUBSAMPLINGS, jpeg
from srlit.ops.ragged_batch import Params, RaggedBatch, apply_to_rows
from srlit.ops.rng import RowGenerator


class Jpeg(Stage):
    """JPEG compression: on a CPU by libjpeg, elsewhere by tensors, the same picture to the bit.

    Args:
        quality: range of whole qualities, 1 to 100.
        subsamplings: of '4:2:0' (what cameras and libraries do) and '4:4:4', equally likely.
    """

    def __init__(self, *, quality: Range, subsamplings: Sequence[str] = ("4:2:0",)) -> None:
        self.quality = check_whole("Jpeg.quality", quality, 1, 100)
        self.subsamplings = list(subsamplings)
        if not self.subsamplings or {*self.subsamplings} - {*SUBSAMPLINGS}:
            msg = f"Jpeg.subsamplings={self.subsamplings}: expected some of {list(SUBSAMPLINGS)}"
            raise ValueError(msg)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `quality` (n,) and `subsampling` (n,), an index into `subsamplings`."""
        quality = rows.integers(*self.quality)
        return {
            "quality": quality,
            "subsampling": rows.integers(0, len(self.subsamplings) - 1),
        }

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Round to 8 bits, encode, decode."""
        for index, subsampling in enumerate(self.subsamplings):

            def code(part: RaggedBatch, own: Params, subsampling: str = subsampling) -> RaggedBatch:
                return _code_jpeg(part, own["quality"].float(), subsampling)

            canvas = apply_to_rows(params["subsampling"] == index, code, canvas, params)
        return canvas

    def names(self) -> Mapping[str, Sequence[str]]:
        """The subsamplings."""
        return {"subsampling": self.subsamplings}


def _code_jpeg(canvas: RaggedBatch, quality: Float[Tensor, " n"], subsampling: str) -> RaggedBatch:
    """By the faster of two coders that agree."""
    if not canvas.pixels.is_cpu:
        pixels = jpeg(canvas.extended(), quality, subsampling=subsampling, sizes=canvas.sizes)
        return canvas.with_pixels(pixels)

    def code(x: Tensor, own: Params) -> Tensor:
        return codecs.libjpeg(x, own["quality"], subsampling=subsampling)

    return canvas.map(code, {"quality": quality})


class _FileCodec(Stage):
    """Compression by an encoder that runs on the CPU: a tensor on another device is waited for."""

    scale: codecs.Scale

    def __init__(self, *, quality: Range) -> None:
        owner = type(self).__name__
        self.quality = check_whole(f"{owner}.quality", quality, self.scale.low, self.scale.high)
        self.require()  # a codec that is missing is an error now, not after hours

    @staticmethod
    @abstractmethod
    def require() -> None:
        """RuntimeError or ImportError where the codec is not installed."""

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `quality` (n,)."""
        return {"quality": rows.integers(*self.quality)}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Round to 8 bits, encode, decode."""
        device = canvas.pixels.device
        sizes = None if canvas.sizes is None else canvas.sizes.cpu()
        here = canvas._replace(pixels=canvas.pixels.cpu(), sizes=sizes)
        quality = {"quality": params["quality"].float().cpu()}
        coded = here.map(lambda x, own: self.code(x, own["quality"]), quality)
        return canvas.with_pixels(coded.pixels.to(device))

    @staticmethod
    @abstractmethod
    def code(x: Float[Tensor, "n 3 h w"], quality: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
        """Encode and decode."""


class WebP(_FileCodec):
    """Lossy WebP through Pillow.

    Args:
        quality: range of whole qualities, 0 to 100.
    """

    scale = codecs.WEBP_QUALITY
    require = staticmethod(partial(codecs.require_pillow, "webp"))
    code = staticmethod(codecs.webp)


class Avif(_FileCodec):
    """Lossy AVIF through Pillow.

    Args:
        quality: range of whole qualities, 0 to 100.
    """

    scale = codecs.AVIF_QUALITY
    require = staticmethod(partial(codecs.require_pillow, "avif"))
    code = staticmethod(codecs.avif)


class H264(_FileCodec):
    """An intra frame of H.264 video through PyAV (`pip install 'srlit[video]'`).

    Args:
        quality: range of x264's constant rate factor, 0 (best) to 51.
    """

    scale = codecs.H264_CRF
    require = staticmethod(codecs.require_x264)
    code = staticmethod(codecs.h264)

"""Real encoders on the CPU, one quality per sample.

Images in [0, 1] are rounded to 8 bits, encoded and decoded in memory one by one. There is no
gradient. Tensors on another device are copied to the CPU and back, so a call waits for that device.

WebP, AVIF and H.264 release Python's lock and run in as many threads as torch may use
(`torch.get_num_threads`), which is one in a loader's worker. Pillow's JPEG holds the lock and runs
in the caller's thread.

Sources: the encoders are libjpeg-turbo, libwebp and libavif with aom, through Pillow, and x264,
through PyAV; Pillow's handbook, "Image file formats", and `x264 --fullhelp` name the settings.
"""

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache, partial
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, features
from torch import Tensor

from srlit.ops.jpeg import Subsampling
from srlit.types import Images

# The default of libwebp and of nearly every file; 0 takes half the time, with up to 5% more error.
WEBP_METHOD = 4
# The fastest of 0 to 10, in a fifth of the time of Pillow's default, 6.
AVIF_SPEED = 10
# For one small frame faster than 'ultrafast', which also leaves out x264's deblocking.
H264_OPTIONS = {"preset": "veryfast", "tune": "zerolatency"}

Pixels: TypeAlias = UInt8[np.ndarray, "h w 3"]
CodecName = Literal["webp", "avif", "h264"]


class Codec(NamedTuple):
    """An encoder and its decoder.

    Attributes:
        name: for messages.
        code: encodes and decodes one image at a quality.
        min_quality: the lowest quality.
        max_quality: the highest quality.
        require: raises ImportError or RuntimeError where the codec is not installed.
        threaded: whether it releases Python's lock.
    """

    name: str
    code: Callable[[Pixels, int], Pixels]
    min_quality: int = 0
    max_quality: int = 100
    require: Callable[[], None] = lambda: None
    threaded: bool = True


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The threads of a process; a forked process has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"codecs-{process}")


def _round_trip(x: Images, quality: Float[Tensor, " n"], codec: Codec) -> Images:
    """Encode and decode each sample at its own quality."""
    qualities = quality.tolist()
    for value in qualities:
        if not codec.min_quality <= value <= codec.max_quality:
            expected = f"expected a number from {codec.min_quality} to {codec.max_quality}"
            raise ValueError(f"{codec.name} quality {value}: {expected}")
    levels = (x.detach() * 255).round_().clamp_(0, 255).byte()
    # A third of the time of permute().contiguous().
    pixels = torch.stack(levels.unbind(1), -1).cpu().numpy()
    threads = torch.get_num_threads() if codec.threaded and len(x) > 1 else 1
    run = _pool(os.getpid(), threads).map if threads > 1 else map
    for image, coded in zip(pixels, run(codec.code, pixels, map(round, qualities)), strict=True):
        image[...] = coded
    levels = torch.from_numpy(pixels).to(x.device)
    return levels.permute(0, 3, 1, 2).contiguous().to(x.dtype).div_(255)


def _code_with_pillow(pixels: Pixels, quality: int, form: str, **settings: str | int) -> Pixels:
    """Encode and decode with Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, quality=quality, **settings)
    with Image.open(file, formats=[form]) as image:
        return np.asarray(image)


def _code_h264(pixels: Pixels, crf: int) -> Pixels:
    """Encode as one intra frame of even size, and decode it."""
    import av

    h, w = pixels.shape[:2]
    even = np.pad(pixels, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.height, encoder.width = even.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = {**H264_OPTIONS, "crf": str(crf)}
    decoder = av.VideoCodecContext.create("h264", "r")
    encoder.thread_count = decoder.thread_count = 1
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    (decoded,) = [image for packet in [*packets, None] for image in decoder.decode(packet)]
    return decoded.to_ndarray(format="rgb24")[:h, :w]


def require_pillow(codec: str) -> None:
    """Raise RuntimeError where Pillow was built without a codec."""
    if not features.check(codec):
        advice = "(see `python -m PIL`): install a wheel of it"
        raise RuntimeError(f"this build of Pillow has no {codec!r} {advice}")


def require_x264() -> None:
    """Raise ImportError where PyAV is missing, RuntimeError where it was built without libx264."""
    try:
        import av
    except ImportError as error:
        raise ImportError("H.264 needs PyAV: pip install 'srlit[video]'") from error
    if "libx264" not in av.codecs_available:
        raise RuntimeError(f"PyAV {av.__version__} has no 'libx264' here: install a wheel of it")


def _pillow_codec(name: str, **settings: int) -> Codec:
    def code(pixels: Pixels, quality: int) -> Pixels:
        return _code_with_pillow(pixels, quality, name.upper(), **settings)

    return Codec(name, code, require=partial(require_pillow, name.lower()))


CODECS: dict[CodecName, Codec] = {
    "webp": _pillow_codec("WebP", method=WEBP_METHOD),
    "avif": _pillow_codec("AVIF", speed=AVIF_SPEED, max_threads=1),
    "h264": Codec("H.264", _code_h264, max_quality=51, require=require_x264),
}


def libjpeg(
    x: Images, quality: Float[Tensor, " n"], *, subsampling: Subsampling = "4:2:0"
) -> Images:
    """Encode with libjpeg and decode again, each sample at its own quality.

    Args:
        x: images in [0, 1].
        quality: 1 to 100 per sample; rounded to whole numbers.
        subsampling: '4:2:0' or '4:4:4'.

    Returns:
        Decoded images in [0, 1], on the 8-bit grid, of `x`'s type and on its device.

    Raises:
        ValueError: a quality is outside its range.
    """
    code = partial(_code_with_pillow, form="JPEG", subsampling=subsampling)
    return _round_trip(x, quality, Codec("JPEG", code, min_quality=1, threaded=False))


def encode_decode(name: CodecName, x: Images, quality: Float[Tensor, " n"]) -> Images:
    """Encode with a codec of `CODECS` and decode again, each sample at its own quality.

    AVIF and H.264 are coded in 4:2:0, H.264 as one intra frame; an odd size repeats its last row or
    column for H.264's encoder, and is cropped back.

    Args:
        name: 'webp', 'avif' or 'h264'.
        x: images in [0, 1].
        quality: per sample, rounded to whole numbers: 0 to 100, or x264's rate factor (crf), 0 (no
            loss beyond 4:2:0) to 51.

    Returns:
        Decoded images in [0, 1], on the 8-bit grid, of `x`'s type and on its device.

    Raises:
        ValueError: a quality is outside its range.
        ImportError: PyAV is missing.
        RuntimeError: Pillow or PyAV was built without the codec.
    """
    CODECS[name].require()
    return _round_trip(x, quality, CODECS[name])

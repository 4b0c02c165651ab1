"""Real encoders on the CPU, one quality a sample: what a file does to a photo, to the bit.

Each takes images in [0, 1], rounds them to 8 bits, encodes and decodes every sample by itself in
memory, and gives images on the 8-bit grid. There is no gradient. Tensors of another device
are brought to the CPU and back, so a call waits for that device.

WebP, AVIF and H.264 give up Python's lock while they work: they share the samples among as many
threads as torch may use (`torch.get_num_threads`), which is one in a loader's worker. Pillow's JPEG
keeps the lock, and runs in the caller's thread.

Sources: the encoders are libjpeg-turbo, libwebp and libavif with aom, through Pillow, and x264,
through PyAV; Pillow's handbook, "Image file formats", and `x264 --fullhelp` name the settings.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, features
from torch import Tensor

from srlit.ops.jpeg import check_subsampling

# The default of libwebp and of nearly every file; 0 takes half the time, and errs by up to 5% more.
WEBP_METHOD = 4
# The fastest of 0 to 10, in a fifth of the time of Pillow's default, 6.
AVIF_SPEED = 10
# For one small frame faster than 'ultrafast', which also leaves out x264's deblocking.
H264_OPTIONS = {"preset": "veryfast", "tune": "zerolatency"}

Pixels: TypeAlias = UInt8[np.ndarray, "h w 3"]
Code: TypeAlias = Callable[[Pixels, int], Pixels]
Job: TypeAlias = tuple[Pixels, int]


class Scale(NamedTuple):
    """The numbers that an encoder takes as its quality, ends included."""

    name: str
    low: int
    high: int


JPEG_QUALITY = Scale("JPEG quality", 1, 100)
WEBP_QUALITY = Scale("WebP quality", 0, 100)
AVIF_QUALITY = Scale("AVIF quality", 0, 100)
H264_CRF = Scale("H.264 crf", 0, 51)


def _to_bytes(x: Float[Tensor, "n 3 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Round to 8 bits where the images are, and bring the bytes to the CPU."""
    levels = (x.detach() * 255).round_().clamp_(0, 255).byte()
    # A third of the time of permute().contiguous().
    return torch.stack(levels.unbind(1), -1).cpu().numpy()


def _to_images(pixels: UInt8[np.ndarray, "n h w 3"], like: Tensor) -> Float[Tensor, "n 3 h w"]:
    """Bring bytes to the device and type of other images, as images in [0, 1]."""
    levels = torch.from_numpy(pixels).to(like.device)
    return levels.permute(0, 3, 1, 2).contiguous().to(like.dtype).div_(255)


def _whole(quality: Float[Tensor, " n"], scale: Scale) -> list[int]:
    """Round the qualities to whole numbers.

    Raises:
        ValueError: one of them is outside the scale, or no number.
    """
    values = quality.tolist()
    for value in values:
        if not scale.low <= value <= scale.high:
            msg = f"{scale.name} {value}: expected a number from {scale.low} to {scale.high}"
            raise ValueError(msg)
    return [round(value) for value in values]


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process; a forked one has none of its parent's."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"codecs-{process}")


def _run(jobs: Sequence[Job], code: Code) -> None:
    """Code each sample, in its place."""
    for pixels, quality in jobs:
        pixels[...] = code(pixels, quality)


def _round_trip(
    x: Float[Tensor, "n 3 h w"],
    quality: Float[Tensor, " n"],
    scale: Scale,
    code: Code,
    *,
    threads: int,
) -> Float[Tensor, "n 3 h w"]:
    """Encode and decode each sample at its own quality.

    Args:
        x: images in [0, 1].
        quality: within the scale; rounded to whole numbers.
        scale: the qualities that `code` takes.
        code: encodes and decodes one sample.
        threads: among how many the samples are shared; 1 is the caller's.

    Returns:
        Decoded images in [0, 1], of `x`'s type and on its device.

    Raises:
        ValueError: a quality is outside the scale, or there is not one for each sample.
    """
    pixels = _to_bytes(x)
    jobs = list(zip(pixels, _whole(quality, scale), strict=True))
    threads = min(threads, len(jobs))
    if threads > 1:
        shares = [jobs[i::threads] for i in range(threads)]
        list(_pool(os.getpid()).map(partial(_run, code=code), shares))
    else:
        _run(jobs, code)
    return _to_images(pixels, x)


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
    """Check that Pillow was built with a codec.

    Raises:
        RuntimeError: it was not.
    """
    if not features.check(codec):
        msg = f"this build of Pillow has no {codec!r} (see `python -m PIL`): install a wheel of it"
        raise RuntimeError(msg)


def require_x264() -> None:
    """Check that PyAV is installed, with libx264.

    Raises:
        ImportError: PyAV is missing.
        RuntimeError: PyAV was built without libx264.
    """
    try:
        import av
    except ImportError as error:
        msg = "H.264 needs PyAV, which is not installed: pip install 'srlit[video]'"
        raise ImportError(msg) from error
    if "libx264" not in av.codecs_available:
        msg = f"this build of PyAV {av.__version__} has no 'libx264': install a wheel of it"
        raise RuntimeError(msg)


def libjpeg(
    x: Float[Tensor, "n 3 h w"], quality: Float[Tensor, " n"], *, subsampling: str = "4:2:0"
) -> Float[Tensor, "n 3 h w"]:
    """Encode with libjpeg and decode again, each sample at its own quality.

    Args:
        x: images in [0, 1].
        quality: 1 to 100 a sample; rounded to whole numbers.
        subsampling: '4:2:0' or '4:4:4'.

    Returns:
        Decoded images in [0, 1], on the 8-bit grid, of `x`'s type and on its device.

    Raises:
        ValueError: the subsampling is neither of the two, or a quality is outside its range.
    """
    check_subsampling(subsampling)
    code = partial(_code_with_pillow, form="JPEG", subsampling=subsampling)
    return _round_trip(x, quality, JPEG_QUALITY, code, threads=1)


def webp(x: Float[Tensor, "n 3 h w"], quality: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Encode to lossy WebP and decode again, each sample at its own quality.

    Args:
        x: images in [0, 1].
        quality: 0 to 100 a sample; rounded to whole numbers.

    Returns:
        Decoded images in [0, 1], on the 8-bit grid, of `x`'s type and on its device.

    Raises:
        ValueError: a quality is outside its range.
        RuntimeError: Pillow was built without WebP.
    """
    require_pillow("webp")
    code = partial(_code_with_pillow, form="WEBP", method=WEBP_METHOD)
    return _round_trip(x, quality, WEBP_QUALITY, code, threads=torch.get_num_threads())


def avif(x: Float[Tensor, "n 3 h w"], quality: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Encode to AVIF (AV1, 4:2:0) and decode again, each sample at its own quality.

    Args:
        x: images in [0, 1].
        quality: 0 to 100 a sample; rounded to whole numbers.

    Returns:
        Decoded images in [0, 1], on the 8-bit grid, of `x`'s type and on its device.

    Raises:
        ValueError: a quality is outside its range.
        RuntimeError: Pillow was built without AVIF.
    """
    require_pillow("avif")
    code = partial(_code_with_pillow, form="AVIF", speed=AVIF_SPEED, max_threads=1)
    return _round_trip(x, quality, AVIF_QUALITY, code, threads=torch.get_num_threads())


def h264(x: Float[Tensor, "n 3 h w"], quality: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Encode each sample as a lone intra frame of H.264 (4:2:0) and decode it again.

    An odd size repeats its last row or column for the encoder, and is cropped back.

    Args:
        x: images in [0, 1].
        quality: x264's rate factor (crf), 0 (no loss beyond 4:2:0) to 51 a sample; rounded to whole
            numbers.

    Returns:
        Decoded images in [0, 1], on the 8-bit grid, of `x`'s type and on its device.

    Raises:
        ValueError: a rate factor is outside its range.
        ImportError: PyAV is missing.
        RuntimeError: PyAV was built without libx264.
    """
    require_x264()
    return _round_trip(x, quality, H264_CRF, _code_h264, threads=torch.get_num_threads())

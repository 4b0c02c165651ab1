"""What is odd about a file that can be used."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from srlit.data.files.exif import orientation
from srlit.data.files.high_bit_depth import is_deep, parted

DARK = 4096  # below: samples of 12 bits or fewer in 16


def notes_of(
    image: ImageFile, deep: UInt16[np.ndarray, "a b c"] | None, pixels: UInt8[Tensor, "3 h w"]
) -> Iterator[str]:
    """See `Decoded.notes`; comes last, as looking for a second frame moves the decoder on."""
    if _is_gray(pixels.numpy()):
        yield "gray"
    yield from _mode_notes(image) if deep is None else _deep_notes(deep)
    if orientation(image) != 1:
        yield "rotated"
    if _has_broken_profile(image):
        yield "broken profile"
    if _is_animated(image):
        yield "animated"


def _mode_notes(image: ImageFile) -> Iterator[str]:
    if image.mode == "CMYK":
        yield "cmyk"
    if image.mode == "P":
        yield "palette"
    if image.has_transparency_data and not is_opaque(as_rgba(image)):
        yield "alpha"
    if isinstance(image, TiffImageFile) and is_deep(image, b""):
        yield "16-bit"


def _deep_notes(deep: UInt16[np.ndarray, "h w c"]) -> Iterator[str]:
    colour, alpha = parted(deep)
    if alpha.size and alpha.min() < 65535:
        yield "alpha"
    yield "16-bit"
    if colour.max() < DARK:
        yield "dark 16-bit"


def _is_gray(pixels: UInt8[np.ndarray, "3 h w"]) -> bool:
    """Whether the channels are equal; most photos show by a few pixels that they are not."""
    return all(
        (part[0] == part[1]).all() and (part[0] == part[2]).all()
        for part in (pixels[:, ::61, ::67], pixels)
    )


def _has_broken_profile(image: ImageFile) -> bool:
    profile = image.info.get("icc_profile")
    if not profile:
        return False
    try:
        ImageCms.ImageCmsProfile(BytesIO(profile))
    except (OSError, ImageCms.PyCMSError):
        return True
    return False


def _is_animated(image: ImageFile) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - the first frame is good
        return False


def as_rgba(image: Image.Image) -> Image.Image:
    """The same with an alpha channel."""
    return image if image.mode == "RGBA" else image.convert("RGBA")


def is_opaque(image: Image.Image) -> bool:
    """Whether no pixel of an RGBA image lets anything through."""
    lowest, _ = image.getchannel("A").getextrema()
    return lowest == 255

"""One image file to RGB pixels, or to the reason why not."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageChops
from PIL.ImageFile import ImageFile
from torch import Tensor

from srlit.data.files.errors import PassingError, PhotoError, naming, show
from srlit.data.files.exif import orientation, turned
from srlit.data.files.formats import FORMATS, OTHER_SUFFIXES, SUFFIXES, identify
from srlit.data.files.high_bit_depth import EIGHT_BITS, deep_samples, on_white
from srlit.data.files.image_flags import as_rgba, is_opaque, notes_of
from srlit.data.files.read_bytes import read_bytes

__all__ = [
    "FORMATS", "OTHER_SUFFIXES", "SUFFIXES", "Decoded", "PassingError", "PhotoError", "decode",
    "decode_bytes", "open_photo", "pixels_of", "read_photo", "show", "to_rgb",
]  # fmt: skip


class Decoded(NamedTuple):
    """What a file holds.

    Attributes:
        pixels: upright RGB, (3, h, w).
        notes: what the owner of the data should know, of
            "gray" (the three channels are equal),
            "alpha" (some of it is transparent, and was laid on white),
            "16-bit" (rounded to 8 bits),
            "dark 16-bit" (no sample reaches 4096: probably 10 or 12 bits in 16),
            "cmyk" (converted without its profile),
            "palette" (256 colours or fewer),
            "rotated" (turned upright by its EXIF orientation),
            "animated" (more frames or pages than the first, which is used),
            "broken profile" (its ICC profile cannot be read).
    """

    pixels: UInt8[Tensor, "3 h w"]
    notes: tuple[str, ...]


def decode(path: Path) -> Decoded:
    """Decode a file to RGB and say what is odd about it.

    What is transparent lies on white; 16 bits are rounded to 8.

    Raises:
        PhotoError: no regular file, no image, a broken one, or one with more than `MOST_PIXELS`.
    """
    with naming(path):
        return _decode(read_bytes(path), path.suffix)


def decode_bytes(data: bytes, name: str) -> Decoded:
    """Decode what a file holds, wherever it came from.

    Args:
        data: the file's bytes.
        name: what it is called, for errors; its ending tells nothing but what is not read.

    Raises:
        PhotoError: as `decode`.
    """
    with naming(Path(name)):
        return _decode(data, Path(name).suffix)


def _decode(data: bytes, suffix: str) -> Decoded:
    image = identify(data, suffix)
    deep = deep_samples(image, data)
    rgb = to_rgb(_load(image)) if deep is None else Image.fromarray(on_white(deep))
    pixels = pixels_of(turned(rgb, orientation(image)))
    return Decoded(pixels, tuple(notes_of(image, deep, pixels)))


def read_photo(path: Path) -> UInt8[Tensor, "3 h w"]:
    """Decode a file to RGB.

    Raises:
        PhotoError: the file cannot be decoded.
    """
    return decode(path).pixels


def open_photo(path: Path) -> Image.Image:
    """Decode a file to 8 bits and turn it upright; its transparency and its profile are kept.

    Raises:
        PhotoError: as `decode`.
    """
    with naming(path):
        data = read_bytes(path)
        image = identify(data, path.suffix)
        deep = deep_samples(image, data)
        if deep is None:
            return turned(_load(image), orientation(image))
        rounded = Image.fromarray(EIGHT_BITS[deep[..., 0] if deep.shape[-1] == 1 else deep])
        rounded.info = {k: v for k, v in image.info.items() if k != "transparency"}
        return turned(rounded, orientation(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB of an 8-bit image; what is transparent lies on white."""
    if image.has_transparency_data:
        overlay = as_rgba(image)
        if is_opaque(overlay):
            return overlay.convert("RGB")
        ground = Image.new("RGBA", overlay.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, overlay).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def pixels_of(image: Image.Image) -> UInt8[Tensor, "c h w"]:
    """Pixels of an RGB or RGBA image, channels first."""
    planes = np.empty((len(image.getbands()), image.height, image.width), np.uint8)
    for plane, band in zip(planes, image.split(), strict=True):
        plane[:] = np.asarray(band)
    return torch.from_numpy(planes)


def _load(image: ImageFile) -> Image.Image:
    """Decode, 8 bits; a CMYK JPEG that is not Adobe's holds no inverted inks as Pillow thinks."""
    image.load()
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(image)
    return image

"""One photo file to RGB pixels, or to the reason why not."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageChops, ImageOps
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from torch import Tensor

from srlit.data import high_bit_depth
from srlit.data.complete import decode_jpeg
from srlit.data.high_bit_depth import TO_8_BITS, Samples, samples_16bit, split_alpha
from srlit.data.image_formats import identify
from srlit.data.photo_file import photo_errors, read_bytes

DARK = 4096  # samples below it have 12 of 16 bits or fewer


class Decoded(NamedTuple):
    """What a file holds.

    Attributes:
        pixels: upright RGB, (3, h, w).
        notes: what the owner of the data should know, of
            "gray" (the three channels are equal),
            "alpha" (some of it is transparent, and was composited on white),
            "16-bit" (rounded to 8 bits),
            "dark 16-bit" (no sample reaches 4096: probably 10 or 12 bits in 16),
            "cmyk" (converted without its profile),
            "palette" (256 colours or fewer),
            "rotated" (turned upright by its EXIF orientation),
            "animated" (more frames or pages than the first, which is used).
    """

    pixels: UInt8[Tensor, "3 h w"]
    notes: tuple[str, ...]


def decode(path: Path, data: bytes | None = None) -> Decoded:
    """Decode a file to upright 8-bit RGB, composited on white, and note what is odd about it.

    Args:
        path: the file.
        data: its bytes where they come from elsewhere; None reads them.

    Raises:
        PhotoError: not a regular file, not an image, damaged, or of more than `MAX_PIXELS`.
    """
    with photo_errors(path):
        return _decode(read_bytes(path) if data is None else data, path.suffix)


def read_photo(path: Path) -> UInt8[Tensor, "3 h w"]:
    """Decode a file to upright RGB.

    Raises:
        PhotoError: the file cannot be decoded.
    """
    return decode(path).pixels


def open_photo(path: Path) -> Image.Image:
    """Decode a file to 8 bits, upright; transparency and ICC profile are kept.

    Raises:
        PhotoError: as `decode`.
    """
    with photo_errors(path):
        data = read_bytes(path)
        image = identify(data, path.suffix)
        samples = samples_16bit(image, data)
        if samples is None:
            return _upright(_load(image, data), image)
        rounded = Image.fromarray(TO_8_BITS[samples[..., 0] if samples.shape[-1] == 1 else samples])
        rounded.info = {k: v for k, v in image.info.items() if k != "transparency"}
        return _upright(rounded, image)


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB of an 8-bit image, composited on white."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def pixels_of(image: Image.Image) -> UInt8[Tensor, "c h w"]:
    """Pixels of an RGB or RGBA image, channels first."""
    planes = np.empty((len(image.getbands()), image.height, image.width), np.uint8)
    for plane, band in zip(planes, image.split(), strict=True):
        plane[:] = np.asarray(band)
    return torch.from_numpy(planes)


def _decode(data: bytes, suffix: str) -> Decoded:
    image = identify(data, suffix)
    rotated = _is_rotated(image)
    samples = samples_16bit(image, data)
    rgb = to_rgb(_load(image, data)) if samples is None else high_bit_depth.on_white(samples)
    pixels = pixels_of(_upright(rgb, image))
    notes = {
        "gray": _is_gray(pixels.numpy()),
        "cmyk": image.mode == "CMYK",
        "palette": image.mode == "P",
        "alpha": _has_alpha(image, samples),
        "16-bit": samples is not None or high_bit_depth.has_16bits(image, data),
        "dark 16-bit": samples is not None and split_alpha(samples)[0].max() < DARK,
        "rotated": rotated,
        "animated": _is_animated(image),  # last: it moves the decoder on
    }
    return Decoded(pixels, tuple(name for name, is_so in notes.items() if is_so))


def _load(image: ImageFile, data: bytes) -> Image.Image:
    """Decode to 8 bits. Of CMYK JPEGs, only Adobe's are stored inverted."""
    if image.format != "JPEG":
        image.load()
        return image
    decoded = decode_jpeg(image, data)
    return ImageChops.invert(decoded) if image.mode == "CMYK" and "adobe" in image.info else decoded


def _is_rotated(image: ImageFile) -> bool:
    """Whether EXIF asks for another orientation."""
    if image.format == "PNG":  # it may follow the pixels, whose errors are to be heard
        image.load()
    with suppress(Exception):  # broken EXIF; the pixels are good
        return image.getexif().get(Base.Orientation) in range(2, 9)
    return False


def _upright(pixels: Image.Image, source: ImageFile) -> Image.Image:
    """Decoded pixels turned by their file's EXIF orientation; Pillow turns those of TIFF itself."""
    if source.format == "TIFF" or not _is_rotated(source):
        return pixels
    exif = Image.Exif()  # without the other tags, which may be broken
    exif[Base.Orientation] = source.getexif()[Base.Orientation]
    pixels = pixels.copy()
    pixels.info["exif"] = exif.tobytes()
    return ImageOps.exif_transpose(pixels)


def _has_alpha(image: ImageFile, samples: Samples | None) -> bool:
    if samples is not None:
        return bool((split_alpha(samples)[1] < 65535).any())
    if not image.has_transparency_data:
        return False
    return image.convert("RGBA").getchannel("A").getextrema()[0] != 255


def _is_gray(pixels: UInt8[np.ndarray, "3 h w"]) -> bool:
    """Whether the channels are equal; most photos show by a few pixels that they are not."""
    return all((part == part[:1]).all() for part in (pixels[:, ::61, ::67], pixels))


def _is_animated(image: ImageFile) -> bool:
    with suppress(Exception):  # a broken second frame; the first one is good
        return bool(getattr(image, "is_animated", False))
    return False

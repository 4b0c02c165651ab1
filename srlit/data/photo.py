"""One image file to RGB pixels."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

# Passed to Pillow by name: no other decoder ever sees a user's file.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
MOST_PIXELS = 200_000_000
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
REFUSED = ("F",)  # floating point has no agreed range


class PhotoError(ValueError):
    """A file that cannot be used as a photo; the message names it and says why."""


def open_photo(path: Path) -> Image.Image:
    """Decode a file and turn it upright.

    Raises:
        PhotoError: no image, a broken one, or one with more than `MOST_PIXELS`.
    """
    try:
        with path.open("rb") as file:
            image = Image.open(file, formats=FORMATS)
            if problem := _unusable(image):
                raise PhotoError(f"{path}: {problem}")  # noqa: TRY301 - named as all others below
            image.load()
            return ImageOps.exif_transpose(image)
    except PhotoError:
        raise
    except UnidentifiedImageError:
        msg = f"{path}: not an image of the formats {', '.join(FORMATS)}"
        raise PhotoError(msg) from None
    except Exception as error:  # noqa: BLE001 - decoders raise struct.error, TypeError and more
        msg = f"{path}: {error or type(error).__name__}"
        raise PhotoError(msg) from None


def _unusable(image: Image.Image) -> str:
    """What the header rules out; empty where nothing is wrong."""
    if image.width * image.height > MOST_PIXELS:
        return f"{image.width}x{image.height} pixels, more than {MOST_PIXELS:,}"
    if image.mode in REFUSED:
        return f"pixels of mode {image.mode}, expected 8 or 16 bits"
    return ""


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: 16-bit gray is scaled to 8, what is transparent lies on white."""
    if image.mode in SIXTEEN_BIT:
        gray = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(gray.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        overlay = image.convert("RGBA")
        ground = Image.new("RGBA", overlay.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, overlay).convert("RGB")
    return image.convert("RGB")


def pixels_of(image: Image.Image) -> UInt8[Tensor, "c h w"]:
    """Pixels of an RGB or RGBA image, channels first."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def read_photo(path: Path) -> UInt8[Tensor, "3 h w"]:
    """Decode a file to RGB.

    Raises:
        PhotoError: the file cannot be decoded.
    """
    return pixels_of(to_rgb(open_photo(path)))

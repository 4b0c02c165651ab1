"""Samples of 16 bits, of which Pillow gives the high bytes only."""

import sys
from io import BytesIO

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from srlit.data.files.errors import PhotoError

SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
# v / 257, rounded; there are no ties.
EIGHT_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of TIFF


def deep_samples(image: ImageFile, data: bytes) -> UInt16[np.ndarray, "h w c"] | None:
    """Gray or RGB samples of 16 bits, alpha last and straight; None where there are none."""
    if image.mode in SIXTEEN_BIT:
        samples = _deep_gray(image)
    elif is_deep(image, data) and image.mode in {"RGB", "RGBA"}:
        samples = _deep_colour(image, data)
    else:
        return None
    return _with_key(samples, image.info.get("transparency"))


def is_deep(image: ImageFile, data: bytes) -> bool:
    """Whether Pillow gives less of a sample than the file has."""
    if isinstance(image, TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,))) > 8
    return image.format == "PNG" and data[24] > 8


def _deep_gray(image: ImageFile) -> UInt16[np.ndarray, "h w 1"]:
    image.load()
    samples = np.asarray(image).clip(0, 65535).astype(np.uint16)[..., None]
    white_is_zero = isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == 0
    return 65535 - samples if white_is_zero else samples


def _deep_colour(image: ImageFile, data: bytes) -> UInt16[np.ndarray, "h w c"]:
    """Samples of which Pillow gives the high bytes: the other byte order gives the low ones.

    Raises:
        PhotoError: they are laid out in a way that Pillow does not read.
    """
    raw = _raw_mode(image)
    if raw == "LA;16B":  # four bytes a pixel, as RGBA of 8 bits
        gray = _decoded_as("RGBA", image, data).view(">u2")
        return gray.astype(np.uint16)
    mode, _, order = raw.partition(";16")
    if order not in SWAPPED or mode not in {"RGB", "RGBA", "RGBX", "RGBa"}:
        raise PhotoError(f"16-bit samples laid out as {raw} are not read: convert it to PNG")
    high, low = (
        _decoded_as(f"{mode.upper()};16{part}", image, data).astype(np.uint16)
        for part in (order, SWAPPED[order])
    )
    return (_straight if mode == "RGBa" else np.asarray)(high << 8 | low)


def _raw_mode(image: ImageFile) -> str:
    args = image.tile[0].args
    return args if isinstance(args, str) else str((args or ("",))[0])


def _decoded_as(raw: str, image: ImageFile, data: bytes) -> UInt8[np.ndarray, "h w c"]:
    """The image decoded anew, its bytes taken for something else."""
    again = type(image)(BytesIO(data))
    again.tile = [
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *(tile.args or ())[1:]))
        for tile in again.tile
    ]
    again.load()
    return np.asarray(again)


def _straight(samples: UInt16[np.ndarray, "h w 4"]) -> UInt16[np.ndarray, "h w 4"]:
    """Colour that was multiplied by alpha, no longer so."""
    colour, alpha = parted(samples)
    divided = colour * (65535 / np.maximum(alpha, 1))
    return np.concatenate([divided.round().clip(0, 65535).astype(np.uint16), alpha], -1)


def _with_key(
    samples: UInt16[np.ndarray, "h w c"], key: int | tuple[int, ...] | None
) -> UInt16[np.ndarray, "h w d"]:
    """With an alpha channel where one colour stands for transparent."""
    if key is None or samples.shape[-1] not in {1, 3}:
        return samples
    opaque = (samples != np.array(key, np.uint16)).any(-1, keepdims=True)
    return np.concatenate([samples, np.where(opaque, 65535, 0).astype(np.uint16)], -1)


def on_white(samples: UInt16[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    """8-bit RGB of 16-bit samples, what is transparent on white."""
    colour, alpha = parted(samples)
    if alpha.size and alpha.min() < 65535:
        share = alpha / 65535
        rounded = ((colour * share + 65535 * (1 - share)) / 257).round().astype(np.uint8)
    else:
        rounded = EIGHT_BITS[colour]
    return np.ascontiguousarray(np.broadcast_to(rounded, (*rounded.shape[:2], 3)))


def parted(
    samples: UInt16[np.ndarray, "h w c"],
) -> tuple[UInt16[np.ndarray, "h w d"], UInt16[np.ndarray, "h w e"]]:
    """Colour, of one channel or three, and alpha, of one or none."""
    colours = 1 if samples.shape[-1] < 3 else 3
    return samples[..., :colours], samples[..., colours:]

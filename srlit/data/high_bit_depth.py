"""Samples of 16 bits, of which Pillow keeps only the high byte in colour images."""

import sys
from io import BytesIO

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from srlit.data.photo_file import PhotoError

Samples = UInt16[np.ndarray, "h w _"]

# round(v / 257); there are no ties.
TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # TIFF tags


def samples_16bit(image: ImageFile, data: bytes) -> Samples | None:
    """Gray or RGB samples of 16 bits, straight alpha last; None where the samples have 8 bits.

    Args:
        image: the identified image.
        data: the file's bytes.

    Raises:
        PhotoError: their layout is one that Pillow does not decode.
    """
    if image.mode.startswith("I"):
        samples = _gray(image)
    elif has_16bits(image, data) and image.mode in {"RGB", "RGBA"}:
        samples = _colour(image, data)
    else:
        return None
    key = image.info.get("transparency")
    if key is None or samples.shape[-1] not in {1, 3}:
        return samples
    alpha = (samples != np.array(key, np.uint16)).any(-1, keepdims=True) * np.uint16(65535)
    return np.concatenate([samples, alpha], -1)


def has_16bits(image: ImageFile, data: bytes) -> bool:
    """Whether the file has more bits per sample than Pillow keeps."""
    if isinstance(image, TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,))) > 8
    return image.format == "PNG" and data[24] > 8


def _gray(image: ImageFile) -> Samples:
    image.load()
    samples = np.asarray(image).clip(0, 65535).astype(np.uint16)[..., None]
    white_is_zero = isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == 0
    return 65535 - samples if white_is_zero else samples


def _colour(image: ImageFile, data: bytes) -> Samples:
    """The high bytes; and, decoded in the other byte order, the low ones.

    No decoder of colour among the dependencies gives both: tifffile lacks LZW, imageio asks Pillow.
    """
    args = type(image)(BytesIO(data)).tile[0].args  # decoding empties the tiles
    raw = args if isinstance(args, str) else str((args or ("",))[0])
    if raw == "LA;16B":  # four bytes per pixel, as RGBA of 8 bits
        return _decode_as("RGBA", image, data).view(">u2").astype(np.uint16)
    mode, _, order = raw.partition(";16")
    if order not in SWAPPED or mode not in {"RGB", "RGBA", "RGBX", "RGBa"}:
        raise PhotoError(f"16-bit samples with the layout {raw} are not read: convert it to PNG")
    high, low = (
        _decode_as(f"{mode.upper()};16{part}", image, data).astype(np.uint16)
        for part in (order, SWAPPED[order])
    )
    samples = high << 8 | low
    if mode == "RGBa":  # colour multiplied by alpha
        alpha = samples[..., 3:]
        colour = samples[..., :3] * (65535 / np.maximum(alpha, 1))
        samples[..., :3] = colour.round().clip(0, 65535)
    return samples


def _decode_as(raw: str, image: ImageFile, data: bytes) -> UInt8[np.ndarray, "h w c"]:
    """Decode the file once more, with another name for the layout of its samples."""
    again = type(image)(BytesIO(data))
    again.tile = [
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *(tile.args or ())[1:]))
        for tile in again.tile
    ]
    again.load()
    return np.asarray(again)


def split_alpha(samples: Samples) -> tuple[Samples, Samples]:
    """Colour, of one channel or three, and alpha, of one or none."""
    colours = 1 if samples.shape[-1] < 3 else 3
    return samples[..., :colours], samples[..., colours:]


def on_white(samples: Samples) -> Image.Image:
    """8-bit RGB of 16-bit samples, composited on white."""
    colour, alpha = split_alpha(samples)
    if alpha.size and alpha.min() < 65535:
        opacity = alpha / 65535
        rounded = ((colour * opacity + 65535 * (1 - opacity)) / 257).round().astype(np.uint8)
    else:
        rounded = TO_8_BITS[colour]
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(rounded, (*rounded.shape[:2], 3))))

"""One image file to RGB pixels, or to the reason why not."""

import errno
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageChops, ImageCms
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from torch import Tensor


class _Tiff(TiffImageFile):
    """Pillow's, less a warning of sizes that are allowed here; it leaves the pixels unturned."""

    def load_prepare(self) -> None:
        """Room for the pixels."""
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        super().load_prepare()

    def load_end(self) -> None:
        """No turning, as with the other formats; Pillow has given the upright size already."""
        self._size = self.im.size


# No other decoder ever sees a user's file. They are called themselves: `Image.open` warns of sizes
# that are allowed here, and a warning can be silenced for all threads only.
DECODERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": _Tiff,
    "PPM": PpmImageFile,
    "GIF": GifImageFile,
}
FORMATS = tuple(DECODERS)
# First bytes; what a file is called does not matter.
STARTS: dict[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    **{b"P%d" % kind: "PPM" for kind in range(1, 7)},
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".gif"),
)
# Pictures by their name, which are not read: what they are.
OTHER_SUFFIXES: dict[str, str] = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".avif", ".avifs"), "AVIF"),
    ".jxl": "JPEG XL",
    **dict.fromkeys((".jp2", ".j2k", ".jpf", ".jpx"), "JPEG 2000"),
    **dict.fromkeys((".psd", ".psb"), "Photoshop"),
    **dict.fromkeys((".svg", ".svgz"), "SVG"),
    ".exr": "OpenEXR",
    ".hdr": "Radiance HDR",
    ".pfm": "floating-point",
    ".tga": "Targa",
    **dict.fromkeys(
        (
            *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mrw"),
            *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf"),
            *(".srw", ".x3f"),
        ),
        "a camera's raw",
    ),
}
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"

MOST_PIXELS = 200_000_000
MOST_BYTES = 4 * 2**30
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
REFUSED = ("F",)  # floating point has no agreed range
DARK = 4096  # below: samples of 12 bits or fewer in 16
ZEROS = 4096  # a page of the disk that was never written
# v / 257, rounded; there are no ties.
EIGHT_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)
SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of TIFF

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(ValueError):
    """A file that cannot be used as a photo; the message names it and says why.

    Attributes:
        reason: why, without the file's name.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


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
    with _naming(path):
        data = _read(path)
        image = _identify(data, path.suffix)
        deep = _deep_samples(image, data)
        rgb = to_rgb(_load(image)) if deep is None else Image.fromarray(_on_white(deep))
        pixels = pixels_of(_turn(rgb, _orientation(image)))
        return Decoded(pixels, tuple(_notes(image, deep, pixels)))


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
    with _naming(path):
        data = _read(path)
        image = _identify(data, path.suffix)
        deep = _deep_samples(image, data)
        if deep is None:
            return _turn(_load(image), _orientation(image))
        rounded = Image.fromarray(EIGHT_BITS[deep[..., 0] if deep.shape[-1] == 1 else deep])
        rounded.info = {k: v for k, v in image.info.items() if k != "transparency"}
        return _turn(rounded, _orientation(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: 16-bit gray is rounded to 8, what is transparent lies on white."""
    if image.mode in SIXTEEN_BIT:
        gray = np.asarray(image).clip(0, 65535).astype(np.uint16)
        return Image.fromarray(EIGHT_BITS[gray]).convert("RGB")
    if image.has_transparency_data:
        overlay = _rgba(image)
        if _is_opaque(overlay):
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


def show(path: str | os.PathLike[str]) -> str:
    """A path as one printable line: other characters and undecodable bytes are escaped."""
    return _printable(os.fspath(path))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python keeps it in a name
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Whatever goes wrong becomes a `PhotoError` that names the file."""
    try:
        yield
    except PhotoError as error:
        reason = error.reason
    except MemoryError:
        reason = "not enough memory to decode it"
    except Exception as error:  # noqa: BLE001 - decoders raise struct.error, TypeError and more
        reason = f"cannot be decoded: {str(error) or type(error).__name__}"
    else:
        return
    reason = _printable(reason)
    raise PhotoError(f"{show(path)}: {reason}", reason)


# -- from the disk ------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    """All bytes of a regular file that stays as it is meanwhile.

    Raises:
        PhotoError: anything else.
    """
    try:
        _require_file(path.stat().st_mode)
        return _read_still(path)
    except OSError as error:
        raise PhotoError(_in_words(error, path)) from None


def _require_file(mode: int) -> None:
    """Refuse what is no file before it is opened: a pipe would wait for a writer, for ever."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    if not stat.S_ISREG(mode):
        raise PhotoError(f"{kinds.get(stat.S_IFMT(mode), 'something else')}, not a file")


def _read_still(path: Path) -> bytes:
    # Not blocking: it may have become a pipe since it was looked at.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if before.st_size > MOST_BYTES:
            raise PhotoError(f"{before.st_size:,} bytes, more than {MOST_BYTES:,}")
        data = file.readall()
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        msg = f"changed while it was read, from {before.st_size:,} to {after.st_size:,} bytes"
        raise PhotoError(msg)
    if not data:
        raise PhotoError("an empty file")
    if len(data) < before.st_size:
        raise PhotoError(f"only {len(data):,} of its {before.st_size:,} bytes can be read")
    return data


def _in_words(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR if path.is_symlink():
            return f"a link to a file that is missing ({path.readlink()})"
        case errno.ENOENT | errno.ENOTDIR:
            return "no such file"
        case errno.ELOOP:
            return "a link that leads back to itself"
        case errno.EACCES | errno.EPERM:
            return "no permission to read it"
    return f"cannot be read: {error.strerror or error}"


# -- what it is ---------------------------------------------------------------------------------


def _identify(data: bytes, suffix: str) -> ImageFile:
    """The image by its header, nothing decoded yet.

    Raises:
        PhotoError: its header already shows that it cannot be used.
    """
    name = _format_of(data)
    other = OTHER_SUFFIXES.get(suffix.lower())
    # Raw files of cameras are TIFF whose first page is a thumbnail.
    if not name or (other and name == "TIFF"):
        raise PhotoError(_why_unknown(data, other))
    try:
        image = DECODERS[name](BytesIO(data))
    except SyntaxError as error:  # how decoders say that this is not for them
        raise PhotoError(f"a damaged {name} file: {error}") from None
    if problem := _ruled_out(image):
        raise PhotoError(problem)
    if name == "PNG":
        _check_chunks(data)
    elif name == "JPEG":
        _check_written(data)
    return image


def _format_of(data: bytes) -> str:
    """One of `FORMATS`, or empty."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for start, name in STARTS.items() if data.startswith(start)), "")


def _why_unknown(data: bytes, other: str | None) -> str:
    if data.startswith(LFS_POINTER):
        return "a Git LFS pointer, not the image: run git lfs pull"
    if other:
        return f"{other} files are not read: convert it to PNG"
    return f"not an image of the formats {', '.join(FORMATS)}{_looks_like(data[:512])}"


def _looks_like(head: bytes) -> str:
    if not head.strip(b"\0"):
        return ": only zeros"
    text = head.decode("utf-8", "ignore").strip()
    if not text.isascii() or not all(c.isprintable() or c.isspace() for c in text):
        return ""
    return ": HTML or XML" if text.startswith("<") else ": text"


def _ruled_out(image: ImageFile) -> str:
    """What the header rules out; empty where nothing is wrong."""
    if image.width * image.height > MOST_PIXELS:
        return f"{image.width}x{image.height} pixels, more than {MOST_PIXELS:,}"
    if image.mode in REFUSED or (image.mode == "I" and image.format == "TIFF"):
        return f"pixels of mode {image.mode}, expected 8 or 16 bits"
    return ""


def _check_chunks(data: bytes) -> None:
    """Compare all checksums of a PNG: Pillow does not look at those of the pixels.

    Raises:
        PhotoError: it is cut or damaged.
    """
    view, start, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        end = start + 8 + int.from_bytes(view[start : start + 4])
        if end + 4 > len(data):
            raise PhotoError("a PNG file that is cut")
        kind = bytes(view[start + 4 : start + 8])
        if zlib.crc32(view[start + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise PhotoError(f"a damaged PNG file: wrong checksum of {kind.decode('latin-1')}")
        start = end + 4


def _check_written(data: bytes) -> None:
    """Refuse a JPEG that ends in zeros: libjpeg makes gray of what a broken download left out.

    Raises:
        PhotoError: it does.
    """
    if data.endswith(bytes(ZEROS)) and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise PhotoError("a JPEG file that ends in zeros: not all of it was written")


# -- its pixels ---------------------------------------------------------------------------------


def _load(image: ImageFile) -> Image.Image:
    """Decode, 8 bits; a CMYK JPEG that is not Adobe's holds no inverted inks as Pillow thinks."""
    image.load()
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(image)
    return image


def _deep_samples(image: ImageFile, data: bytes) -> UInt16[np.ndarray, "h w c"] | None:
    """Gray or RGB samples of 16 bits, alpha last and straight; None where there are none."""
    if image.mode in SIXTEEN_BIT:
        samples = _deep_gray(image)
    elif _is_deep(image, data) and image.mode in {"RGB", "RGBA"}:
        samples = _deep_colour(image, data)
    else:
        return None
    return _with_key(samples, image.info.get("transparency"))


def _is_deep(image: ImageFile, data: bytes) -> bool:
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
    colour, alpha = _parted(samples)
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


def _on_white(samples: UInt16[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    """8-bit RGB of 16-bit samples, what is transparent on white."""
    colour, alpha = _parted(samples)
    if alpha.size and alpha.min() < 65535:
        share = alpha / 65535
        rounded = ((colour * share + 65535 * (1 - share)) / 257).round().astype(np.uint8)
    else:
        rounded = EIGHT_BITS[colour]
    return np.ascontiguousarray(np.broadcast_to(rounded, (*rounded.shape[:2], 3)))


def _parted(
    samples: UInt16[np.ndarray, "h w c"],
) -> tuple[UInt16[np.ndarray, "h w d"], UInt16[np.ndarray, "h w e"]]:
    """Colour, of one channel or three, and alpha, of one or none."""
    colours = 1 if samples.shape[-1] < 3 else 3
    return samples[..., :colours], samples[..., colours:]


def _rgba(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _is_opaque(image: Image.Image) -> bool:
    """Whether no pixel of an RGBA image lets anything through."""
    lowest, _ = image.getchannel("A").getextrema()
    return lowest == 255


# -- which way up -------------------------------------------------------------------------------


def _orientation(image: ImageFile) -> int:
    """How the file says that its pixels are to be turned, 1 to 8; 1 where EXIF is broken."""
    try:
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
        value = tags.get(Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - the pixels are good
        return 1
    return value if isinstance(value, int) and value in UPRIGHT else 1


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    method = UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


# -- what is odd about it -----------------------------------------------------------------------


def _notes(
    image: ImageFile, deep: UInt16[np.ndarray, "a b c"] | None, pixels: UInt8[Tensor, "3 h w"]
) -> Iterator[str]:
    """See `Decoded.notes`; comes last, as looking for a second frame moves the decoder on."""
    if _is_gray(pixels.numpy()):
        yield "gray"
    yield from _mode_notes(image) if deep is None else _deep_notes(deep)
    if _orientation(image) != 1:
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
    if image.has_transparency_data and not _is_opaque(_rgba(image)):
        yield "alpha"
    if isinstance(image, TiffImageFile) and _is_deep(image, b""):
        yield "16-bit"


def _deep_notes(deep: UInt16[np.ndarray, "h w c"]) -> Iterator[str]:
    colour, alpha = _parted(deep)
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

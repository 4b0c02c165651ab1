"""Which image formats are read, and which one a file has by its first bytes."""

import math
import re
from io import BytesIO
from pkgutil import resolve_name

from PIL.ImageFile import ImageFile

from srlit.data.complete import CompleteImage
from srlit.data.photo_file import PhotoError

PLUGINS = "Jpeg", "Png", "WebP", "Bmp", "Tiff", "Ppm", "Gif"
# No other decoder ever sees a user's file. They are called directly: `Image.open` warns of sizes
# that are allowed here, and a warning can be silenced for all threads only.
DECODERS: dict[str, type[ImageFile]] = {
    str(decoder.format): decoder
    for decoder in (resolve_name(f"PIL.{name}ImagePlugin:{name}ImageFile") for name in PLUGINS)
}
for _name in ("PNG", "TIFF"):  # the others miss rows by themselves
    DECODERS[_name] = type(_name, (CompleteImage, DECODERS[_name]), {})
# First bytes of a file; its name does not matter.
SIGNATURES: dict[str, bytes] = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "PPM": rb"P[1-6]",
    "GIF": rb"GIF8",
}
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".gif"),
)
# Images, by their suffix, that are not read.
UNSUPPORTED: dict[str, str] = {
    suffix: name
    for name, suffixes in {
        "HEIF": ".heic .heif .hif",
        "AVIF": ".avif .avifs",
        "JPEG XL": ".jxl",
        "JPEG 2000": ".jp2 .j2k .jpf .jpx",
        "Photoshop": ".psd .psb",
        "SVG": ".svg .svgz",
        "OpenEXR": ".exr",
        "Radiance HDR": ".hdr",
        "floating-point": ".pfm",
        "Targa": ".tga",
        "camera raw": ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mrw .nef .nrw .orf .pef .raf "
        ".raw .rw2 .rwl .sr2 .srf .srw .x3f",
    }.items()
    for suffix in suffixes.split()
}

MAX_PIXELS = 200_000_000
# More pixels per byte than these formats can hold: a JPEG block of 8x8 takes at least one bit, and
# Deflate packs at most 1032 bytes into one.
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by its colour type
MAX_DENSITY = {"JPEG": 512, "PNG": 1032 * 8}


def identify(data: bytes, suffix: str) -> ImageFile:
    """Read an image's header; its pixels are not decoded yet.

    Args:
        data: the file's bytes.
        suffix: of the file's name, which tells only formats that are not read.

    Raises:
        PhotoError: the file cannot be used.
    """
    name = next((k for k, start in SIGNATURES.items() if re.match(start, data, re.DOTALL)), "")
    unsupported = UNSUPPORTED.get(suffix.lower())
    # Camera raw files are TIFF whose first page is a thumbnail.
    if not name or (unsupported and name == "TIFF"):
        raise PhotoError(_why_unknown(data, unsupported))
    try:
        image = DECODERS[name](BytesIO(data))
        _check_header(image, data)
        if name == "PNG":  # decoding does not compare the checksums of the pixels
            DECODERS[name](BytesIO(data)).verify()
    except SyntaxError as error:
        raise PhotoError(f"a damaged {name} file: {error}") from None
    return image


def _why_unknown(data: bytes, unsupported: str | None) -> str:
    if data.startswith(b"version https://git-lfs.github.com/spec/v1"):
        return "a Git LFS pointer, not the image: run git lfs pull"
    if unsupported:
        return f"{unsupported} files are not read: convert it to PNG"
    return f"not an image of the formats {', '.join(DECODERS)}: it begins with {data[:24]!r}"


def _check_header(image: ImageFile, data: bytes) -> None:
    size = f"{image.width}x{image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        raise PhotoError(f"{size}, more than {MAX_PIXELS:,}")
    bits = data[24] * PNG_CHANNELS[data[25]] if image.format == "PNG" else 1
    if image.width * image.height * bits > MAX_DENSITY.get(str(image.format), math.inf) * len(data):
        raise PhotoError(f"a part of the image is missing: {size} in {len(data):,} bytes")
    # Floating point has no agreed range.
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise PhotoError(f"pixels of mode {image.mode}, expected 8 or 16 bits")

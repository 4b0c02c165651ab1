"""Which formats are read, and what a file is by its first bytes."""

import zlib
from io import BytesIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from srlit.data.files.errors import PhotoError


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
REFUSED = ("F",)  # floating point has no agreed range
ZEROS = 4096  # a page of the disk that was never written


def identify(data: bytes, suffix: str) -> ImageFile:
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

"""Files of every kind that lie in folders of photos, and what each must decode to.

Expected pixels never come from the code under test: they are the arrays that were written; for a
lossy file, nearly. What no library here writes is put together byte by byte.
"""

import io
import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import skimage
import tifffile
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
ORIENTATION = 0x0112
FINE = {"quality": 98, "subsampling": 0}
NEARLY = 8  # levels off a JPEG that is so fine
# Top, left and steps of the passes of an interlaced PNG.
ADAM7 = ["0088", "0488", "4084", "0244", "2042", "0122", "1021"]
# The directions of rows and columns that turn pixels upright; from 5 on the axes are swapped too.
FLIPS = {1: "++", 2: "+-", 3: "--", 4: "-+", 5: "++", 6: "-+", 7: "--", 8: "+-"}


@dataclass
class Case:
    """A file, and its pixels (h, w, 3) within `off` levels and its notes, or why it has none."""

    path: Path
    pixels: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    reason: str = ""
    off: int = 0


Add = Callable[..., None]  # as `add` in `build`


def build(folder: Path) -> list[Case]:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = []

    def add(name, data, pixels=None, notes=(), reason="", off=0, **options):
        """A case; its file is written, in the format of its name, unless `data` is None."""
        path = folder / name
        if data is not None:
            content = data if isinstance(data, bytes) else encode(data, path.suffix, **options)
            path.write_bytes(content)
        cases.append(Case(path, pixels, notes, reason, off))

    good = modes, palettes, sixteen_bits, tiffs, lossy, inks, turned, frames
    for group in (*good, broken, incomplete, bombs, no_images, names, no_files):
        group(folder, add)
    return cases


# -- bytes --------------------------------------------------------------------------------------


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def photo_crop(height: int = 48, width: int = 64) -> np.ndarray:
    """Part of a photo."""
    whole = np.array(Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png"))
    return whole[60 : 60 + height, 120 : 120 + width]


def gray(plane: np.ndarray) -> np.ndarray:
    return np.repeat(plane.reshape(*plane.shape[:2], 1), 3, 2)


def on_white(colour: np.ndarray, alpha: np.ndarray, white: int = 255) -> np.ndarray:
    opacity = alpha[..., None] / white
    return ((colour * opacity + white * (1 - opacity)) * 255 / white).round().astype(np.uint8)


def rounded(samples: np.ndarray) -> np.ndarray:
    return (samples / 257).round().astype(np.uint8)


def encode(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, Image.registered_extensions().get(kind, kind), **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    length, crc = (struct.pack(">I", n) for n in (len(content), zlib.crc32(kind + content)))
    return length + kind + content + crc


def header(width: int, height: int, depth: int, colour: int, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def png(samples: np.ndarray, *more: bytes, interlaced: bool = False) -> bytes:
    """A PNG of samples (h, w, 1 to 4) of 8 or 16 bits; `more` are chunks before the pixels."""
    height, width, channels = samples.shape
    steps = [map(int, digits) for digits in (ADAM7 if interlaced else ["0011"])]
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in steps]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    big = samples.dtype.newbyteorder(">")
    lines = b"".join(b"\0" + row.astype(big).tobytes() for part in passes for row in part)
    head = header(width, height, 8 * samples.itemsize, colour, int(interlaced))
    pixels = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"".join([PNG, head, *more, pixels])


def tiff(pixels: np.ndarray, photometric: str = "rgb", **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, **options)
    return file.getvalue()


def resized(tiff: bytes, old: tuple[int, int], new: tuple[int, int]) -> bytes:
    """A TIFF with another width and height in its header."""
    for tag, before, after in zip((256, 257), old, new, strict=True):
        for kind in (3, 4):  # short and long
            found = struct.pack("<HHII", tag, kind, 1, before)
            tiff = tiff.replace(found, struct.pack("<HHII", tag, 4, 1, after))
    return tiff


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    rows, columns = (int(f"{sign}1") for sign in FLIPS[orientation])
    turned = pixels[::rows, ::columns]
    return turned.swapaxes(0, 1) if orientation > 4 else turned


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


# -- good files ---------------------------------------------------------------------------------


def modes(folder: Path, add: Add) -> None:
    """Every kind of pixels of 8 bits and fewer."""
    rgb, alpha = noise(21, 34, 3), noise(21, 34, seed=1)
    plane, bits = rgb[..., 0], rgb[..., 0] > 127
    for kind in ("png", "bmp", "ppm", "webp", "tif"):
        add(f"rgb.{kind}", rgb, rgb, lossless=True)
    add("lzw.tiff", rgb, rgb, compression="tiff_lzw")
    for kind in ("png", "pbm"):
        add(f"bits.{kind}", Image.fromarray(bits), gray(bits * np.uint8(255)), ("gray",))
    add("l.png", plane, gray(plane), ("gray",))
    add("gray as rgb.png", gray(plane), gray(plane), ("gray",))
    almost = gray(plane).copy()
    almost[20, 33, 2] ^= 1
    add("almost gray.png", almost, almost)
    ga = np.stack([plane, alpha], -1)
    add("la.png", ga, on_white(gray(plane), alpha), ("gray", "alpha"), off=1)
    rgba = np.dstack([rgb, alpha])
    add("rgba.png", rgba, on_white(rgb, alpha), ("alpha",), off=1)
    add("opaque.png", np.dstack([rgb, np.full_like(alpha, 255)]), rgb)


def palettes(folder: Path, add: Add) -> None:
    plane = noise(21, 34, 3)[..., 0]
    colours = noise(256, 3, seed=2)
    image = Image.fromarray(plane, "L")
    image.putpalette(colours.tobytes())
    for kind in ("png", "bmp", "gif", "tiff"):
        add(f"p.{kind}", image, colours[plane], ("palette",))
    expected = on_white(colours[plane], np.where(plane == 7, 0, 255))
    for kind in ("png", "gif"):
        add(f"pa.{kind}", image, expected, ("palette", "alpha"), transparency=7)
    opacities = noise(256, seed=3)
    expected = on_white(colours[plane], opacities[plane])
    alpha = {"transparency": opacities.tobytes()}
    add("pa opacities.png", image, expected, ("palette", "alpha"), off=1, **alpha)


def sixteen_bits(folder: Path, add: Add) -> None:
    """PNG and PPM of 16 bits a sample."""
    deep = noise(21, 34, 4, dtype=np.uint16)
    rgb, alpha, dark = deep[..., :3], deep[..., 3], deep[..., :3] >> 4
    some, note = gray(rgb[..., 0]), "16-bit"
    add("l16.png", png(deep[..., :1]), rounded(some), ("gray", note))
    dark_gray = gray(rounded(dark[..., 0]))
    add("dark l16.png", png(dark[..., :1]), dark_gray, ("gray", note, "dark 16-bit"))
    add("rgb16.png", png(rgb), rounded(rgb), (note,))
    add("interlaced16.png", png(rgb, interlaced=True), rounded(rgb), (note,))
    add("dark rgb16.png", png(dark), rounded(dark), (note, "dark 16-bit"))
    add("rgba16.png", png(deep), on_white(rgb, alpha, 65535), ("alpha", note))
    add("la16.png", png(deep[..., [0, 3]]), on_white(some, alpha, 65535), ("gray", "alpha", note))
    key = chunk(b"tRNS", rgb[4, 5].astype(">u2").tobytes())
    expected = rounded(rgb)
    expected[4, 5] = 255
    add("rgb16 key.png", png(rgb, key), expected, ("alpha", note))
    pgm = b"P5 34 21 65535\n" + rgb[..., 0].astype(">u2").tobytes()
    add("l16.pgm", pgm, rounded(some), ("gray", note))
    ppm = b"P6 34 21 65535\n" + rgb.astype(">u2").tobytes()
    add("rgb16.ppm", ppm, rounded(rgb))


def tiffs(folder: Path, add: Add) -> None:
    """TIFF in its many ways."""
    rgb, deep = noise(32, 48, 3), noise(32, 48, 4, dtype=np.uint16)
    colour, plane = deep[..., :3], deep[..., 0]

    planes = {"planarconfig": "separate"}
    add("planar.tif", tiff(rgb.transpose(2, 0, 1), **planes), rgb)
    data = tiff(colour.transpose(2, 0, 1), **planes)
    add("rgb16 planar.tif", data, reason="layout R are not read")
    add("tiled.tif", tiff(rgb, tile=(16, 16)), rgb)
    for kind, levels in {"minisblack": plane, "miniswhite": 65535 - plane}.items():
        add(f"l16 {kind}.tif", tiff(plane, kind), rounded(gray(levels)), ("gray", "16-bit"))
    add("dark rgb16.tif", tiff(colour >> 6), rounded(colour >> 6), ("16-bit", "dark 16-bit"))
    zipped = {"compression": "zlib", "predictor": True}
    big, tiles = {"byteorder": ">"}, {"tile": (16, 16)}
    for name, options in {"": {}, " big": big, " zip": zipped, " tiled": tiles}.items():
        add(f"rgb16{name}.tif", tiff(colour, **options), rounded(colour), ("16-bit",))
    laid = on_white(colour, deep[..., 3], 65535)
    times = (colour * (deep[..., 3:] / 65535)).round().astype(np.uint16)
    multiplied = np.dstack([times, deep[..., 3]])
    for kind, pixels in {"unassalpha": deep, "assocalpha": multiplied}.items():
        data = tiff(pixels, extrasamples=[kind])
        add(f"rgba16 {kind}.tif", data, laid, ("alpha", "16-bit"), off=1)
    low = colour.astype("<u2").view(np.uint8).reshape(32, 96, 3)
    low = encode(low, "TIFF", compression="tiff_lzw")
    lzw = resized(low, (96, 32), (48, 32)).replace(b"\x08\0" * 3, b"\x10\0" * 3)
    add("rgb16 lzw.tif", lzw, rounded(colour), ("16-bit",))


def lossy(folder: Path, add: Add) -> None:
    """JPEG and WebP."""
    photo = photo_crop()
    add("photo.jpg", photo, photo, off=NEARLY, progressive=True, **FINE)
    add("gray.jpeg", photo[..., 0], gray(photo[..., 0]), ("gray",), off=NEARLY, **FINE)
    smooth = np.array(Image.fromarray(photo).resize((64, 48), box=(0, 0, 8, 6)))
    add("lossy.webp", smooth, smooth, off=16, quality=95)


def inks(folder: Path, add: Add) -> None:
    """CMYK: full of ink is 255 in memory, but 0 in what Adobe writes."""
    cmyk = np.repeat(np.repeat(noise(2, 3, 4), 16, 0), 16, 1)
    light = 1 - cmyk / 255
    expected = (255 * light[..., :3] * light[..., 3:]).round().astype(np.uint8)
    add("adobe cmyk.jpg", Image.fromarray(cmyk, "CMYK"), expected, ("cmyk",), off=4, quality=100)
    plain = encode(Image.fromarray(255 - cmyk, "CMYK"), "JPEG", quality=100)
    at = plain.index(b"\xff\xee\0\x0eAdobe")
    add("cmyk.jpg", plain[:at] + plain[at + 16 :], expected, ("cmyk",), off=4)
    add("cmyk.tif", Image.fromarray(cmyk, "CMYK"), expected, ("cmyk",), off=1)


def turned(folder: Path, add: Add) -> None:
    """All orientations, and broken metadata."""
    rgb = noise(21, 34, 3)
    for number in FLIPS:
        expected, notes = upright(rgb, number), ("rotated",) if number > 1 else ()
        add(f"turned {number}.png", rgb, expected, notes, exif=exif(number))
        add(f"turned {number}.tif", rgb, expected, notes, tiffinfo={ORIENTATION: number})
    photo, options = photo_crop(), {"off": NEARLY, "exif": exif(6)}
    add("turned.jpg", photo, upright(photo, 6), ("rotated",), **FINE, **options)
    add("turned.webp", rgb, upright(rgb, 5), ("rotated",), lossless=True, exif=exif(5))
    deep = noise(21, 34, 3, dtype=np.uint16)
    tags = chunk(b"eXIf", exif(8).tobytes()[6:])
    expected = upright(rounded(deep), 8)
    add("turned16.png", png(deep, tags), expected, ("16-bit", "rotated"))
    data = tiff(deep, extratags=[(ORIENTATION, "H", 1, 8, True)])
    add("turned16.tif", data, expected, ("16-bit", "rotated"))
    garbage = b"Exif\0\0MM\0*\xff\xff\xff\xff" + noise(50).tobytes()
    profile = b"no profile at all" * 20
    cut = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile)[:9])
    add("bad exif.png", png(rgb, chunk(b"eXIf", garbage[6:])), rgb)
    add("bad exif.jpg", photo, photo, off=NEARLY, **FINE, exif=garbage)
    add("turned 9.png", rgb, rgb, exif=exif(9))
    add("bad icc.png", rgb, rgb, icc_profile=profile)
    add("bad icc.jpg", photo, photo, off=NEARLY, **FINE, icc_profile=profile)
    add("cut icc.png", png(rgb, cut), rgb)


def frames(folder: Path, add: Add) -> None:
    """More than one image in a file: the first counts."""
    colours = [(200, 30, 10), (10, 200, 30), (30, 10, 200)]
    images = [Image.new("RGB", (34, 21), colour) for colour in colours]
    first = np.array(images[0])
    more = {"save_all": True, "append_images": images[1:]}
    add("many.gif", images[0], first, ("palette", "animated"), **more)
    for kind in ("webp", "png", "tiff"):
        add(f"many.{kind}", images[0], first, ("animated",), **more, lossless=True)
    # What phones add to a photo, such as a map of depths, is no second frame of it.
    data = encode(Image.fromarray(photo_crop()), "MPO", **FINE, **more)
    add("two.jpg", data, photo_crop(), off=NEARLY)


# -- bad files ----------------------------------------------------------------------------------


def broken(folder: Path, add: Add) -> None:
    """Images that are damaged, too large or of no use."""
    rgb = noise(48, 64, 3)
    good, jpeg = png(rgb), encode(photo_crop(), "JPEG", **FINE)
    add("cut.png", good[: len(good) // 2], reason="[tT]runcated")
    add("no end.png", good[:-12], reason="[tT]runcated")
    add("cut16.png", png(noise(9, 9, 3, dtype=np.uint16))[:-60], reason="truncated|Truncated")
    cut = jpeg[: len(jpeg) // 2]
    add("cut.jpg", cut, reason="missing")
    add("cut header.jpg", jpeg[:30], reason="Truncated")
    add("unwritten.jpg", cut + bytes(9999), reason="missing")
    for name in ("rgb.tif", "rgb16.tif", "rgb.webp", "rgb.bmp", "p.gif", "rgb.ppm"):
        data = (folder / name).read_bytes()
        add(f"cut {name}", data[: len(data) // 2], reason="cut|truncated|damaged|decode")
    for name, at in (("IHDR", 18), ("IDAT", len(good) - 600)):
        damaged = bytearray(good)
        damaged[at] ^= 4
        add(f"bad {name}.png", bytes(damaged), reason="broken PNG")
    for name, value in {"float": 0.5, "nan": np.nan}.items():
        add(f"{name}.tif", np.full((21, 34), value, np.float32), reason="mode F")
    add("32-bit.tif", np.full((21, 34), 70_000, np.int32), reason="mode I")


def incomplete(folder: Path, add: Add) -> None:
    """Well-formed files of fewer pixels than their headers promise."""
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}):
        jpeg, name = encode(photo_crop(), "JPEG", **FINE, **options), "".join(options)
        scan = jpeg.index(b"\xff\xda") + 99
        for tenths in (3, 6, 9):
            end = scan + (len(jpeg) - scan) * tenths // 10
            add(f"closed{tenths}{name}.jpg", jpeg[:end] + b"\xff\xd9", reason="missing")
        padded = jpeg[:-2] + bytes(3) + jpeg[-2:] + b"more"
        add(f"padded{name}.jpg", padded, photo_crop(), off=NEARLY)
    for kind, channels, interlaced in product((np.uint8, np.uint16), (1, 3, 4), (False, True)):
        data = png(noise(48, 64, channels, dtype=kind), interlaced=interlaced)
        lines = zlib.decompress(data[41:-16])
        lines = chunk(b"IDAT", zlib.compress(lines[: len(lines) * 9 // 10]))
        name = f"short{kind.__name__}{channels}{interlaced}.png"
        add(name, data[:33] + lines + data[-12:], reason="missing|truncated")
    for kind in ("tiff_lzw", "tiff_deflate", "packbits"):
        data = encode(noise(47, 64, 3), "TIFF", compression=kind)
        add(f"short {kind}.tif", resized(data, (64, 47), (64, 48)), reason="missing")
    sparse = header(9000, 9000, 8, 2) + chunk(b"IDAT", zlib.compress(bytes(99)))
    add("sparse.png", PNG + sparse + chunk(b"IEND", b""), reason="missing: 9000x9000 pixels in")
    jpeg = encode(photo_crop(), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    sparse = jpeg[:at] + struct.pack(">HH", 9000, 9000) + jpeg[at + 4 :]
    add("sparse.jpg", sparse, reason="missing: 9000x9000 pixels in")


def bombs(folder: Path, add: Add) -> None:
    """Headers that promise 50,000x50,000 pixels."""
    jpeg = encode(photo_crop(), "JPEG", **FINE)
    side, reason = 50_000, "50000x50000 pixels, more than"
    data = chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    add("bomb.png", PNG + header(side, side, 8, 2) + data, reason=reason)
    data = resized(encode(noise(9, 8, 3), "TIFF"), (8, 9), (side, side))
    add("bomb.tif", data, reason=reason)
    at = jpeg.index(b"\xff\xc0") + 5
    data = jpeg[:at] + struct.pack(">HH", side, side) + jpeg[at + 4 :]
    add("bomb.jpg", data, reason=reason)
    bmp = encode(noise(2, 2, 3), "BMP")
    add("bomb.bmp", bmp[:18] + struct.pack("<ii", side, side) + bmp[26:], reason=reason)
    add("bomb.ppm", b"P6 50000 50000 255\n" + bytes(99), reason=reason)


def no_images(folder: Path, add: Add) -> None:
    """Files that are something else."""
    unknown = "not an image of the formats JPEG, PNG, .*"
    add("empty.png", b"", reason="an empty file")
    add("zeros.jpg", bytes(5000), reason=unknown)
    add("text.png", b"no image\n" * 9, reason=unknown)
    add("page.jpg", b"\n<!DOCTYPE html><html>", reason=f"{unknown}.*<!DOCTYPE html>")
    add("noise.png", noise(5000, seed=5).tobytes(), reason=unknown)
    add("pointer.png", LFS, reason="Git LFS pointer.*git lfs pull")
    heic = b"\0\0\0\x18ftypheic" + noise(99).tobytes()
    add("phone.HEIC", heic, reason="HEIF files are not read: convert")
    add("phone.jpg", heic, reason=unknown)
    raw = encode(noise(9, 9, 3), "TIFF")
    add("camera.dng", raw, reason="camera raw files are not read")
    add("eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n", reason=unknown)


def names(folder: Path, add: Add) -> None:
    """Good images of any name and size."""
    rgb = noise(21, 34, 3, seed=9)
    good = encode(rgb, "PNG")
    for name in ("UPPER.PNG", "phone.heif", "a\nb.png", "ünï 😀.png", "n" * 251 + ".png", "none"):
        add(name, good, rgb)
    add(os.fsdecode(b"bytes \xff\xfe.png"), good, rgb)
    for height, width in ((1, 1), (1, 4096), (4096, 1)):
        rgb = noise(height, width, 3)
        add(f"{width}x{height}.png", rgb, rgb)
    add("wrong.png", encode(photo_crop(), "JPEG", **FINE), photo_crop(), off=NEARLY)


def no_files(folder: Path, add: Add) -> None:
    """Links, and what is no regular file."""
    (folder / "link.png").symlink_to("rgb.png")
    add("link.png", None, noise(21, 34, 3))
    (folder / "loop.png").symlink_to("loop.png")
    add("loop.png", None, reason="symbolic links")
    (folder / "dangling.png").symlink_to("nowhere\n.png")
    add("dangling.png", None, reason=r"No such file.*a link to nowhere\\n.png")
    for name in ("never.png", "rgb.png/x.png"):
        add(name, None, reason="No such file|Not a directory")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    os.mknod(folder / "socket.png", stat.S_IFSOCK | 0o600)
    (folder / "device.png").symlink_to("/dev/zero")
    for name in ("folder", "pipe", "socket", "device"):
        add(f"{name}.png", None, reason="not a regular file")
    secret = folder / "secret.png"
    if os.geteuid():
        secret.touch(0o000)
        add(secret.name, None, reason="Permission denied")
    else:  # whom no permission stops
        secret.symlink_to("/proc/self/mem")
        add(secret.name, None, reason="cannot be read: Input/output error")

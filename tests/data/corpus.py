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
from pathlib import Path

import numpy as np
import skimage
import tifffile
from PIL import Image

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
ORIENTATION = 0x0112
FINE = {"quality": 98, "subsampling": 0}
NEARLY = 8  # levels off a JPEG that is so fine
# Top, left and steps of the passes of an interlaced PNG.
ADAM7 = [
    tuple(map(int, numbers)) for numbers in ("0088", "0488", "4084", "0244", "2042", "0122", "1021")
]
# From the pixels of a file to the upright image.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


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

    for group in (
        *(modes, palettes, sixteen_bits, tiffs, lossy, inks, turned, bad_metadata, frames, sizes),
        *(broken, bombs, no_images, names, links, no_files),
    ):
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


def scanlines(samples: np.ndarray) -> bytes:
    big = samples.astype(samples.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in big)


def png(samples: np.ndarray, *more: bytes, interlaced: bool = False) -> bytes:
    """A PNG of samples (h, w, 1 to 4) of 8 or 16 bits; `more` are chunks before the pixels."""
    height, width, channels = samples.shape
    passes = [samples]
    if interlaced:
        passes = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = b"".join(scanlines(part) for part in passes)
    head = header(width, height, 8 * samples.itemsize, colour, int(interlaced))
    pixels = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"".join([b"\x89PNG\r\n\x1a\n", head, *more, pixels])


def lzw(data: bytes) -> bytes:
    """TIFF's LZW of 9-bit codes: the table is cleared before it needs longer ones."""
    codes = []
    for i in range(0, len(data), 200):
        codes += [256, *data[i : i + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def tiff(width: int, height: int, *, bits: int, compression: int, strip: bytes) -> bytes:
    """An RGB TIFF of one strip."""
    extra = 8 + len(strip)
    longs = {256: width, 257: height, 273: 8, 278: height, 279: len(strip)}
    shorts = {259: compression, 262: 2, 277: 3}
    tags = [(tag, 4, 1, value) for tag, value in longs.items()]
    tags += [(tag, 3, 1, value) for tag, value in shorts.items()] + [(258, 3, 3, extra)]
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", *tag) for tag in sorted(tags)
    )
    start = struct.pack("<2sHI", b"II", 42, extra + 6)
    return start + strip + struct.pack("<3H", bits, bits, bits) + directory + bytes(4)


def without(jpeg: bytes, marker: int) -> bytes:
    """A JPEG less its segments of one kind."""
    kept, at = [jpeg[:2]], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] != marker:
            kept.append(jpeg[at:end])
        at = end
    return b"".join([*kept, jpeg[at:]])


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


# -- good files ---------------------------------------------------------------------------------


def modes(folder: Path, add: Add) -> None:
    """Every kind of pixels of 8 bits and fewer."""
    rgb, alpha = noise(21, 34, 3), noise(21, 34, seed=1)
    plane, bits = rgb[..., 0], rgb[..., 0] > 127
    add("rgb.png", rgb, rgb)
    add("rgb.bmp", rgb, rgb)
    add("rgb.ppm", rgb, rgb)
    add("rgb.webp", rgb, rgb, lossless=True)
    add("interlaced.png", png(rgb, interlaced=True), rgb)
    add("1-bit.png", bits, gray(bits * np.uint8(255)), ("gray",))
    add("bits.pbm", Image.fromarray(bits), gray(bits * np.uint8(255)), ("gray",))
    add("l.png", plane, gray(plane), ("gray",))
    add("gray as rgb.png", gray(plane), gray(plane), ("gray",))
    almost = gray(plane).copy()
    almost[20, 33, 2] ^= 1
    add("almost gray.png", almost, almost)
    ga = np.stack([plane, alpha], -1)
    add("la.png", png(ga), on_white(gray(plane), alpha), ("gray", "alpha"), off=1)
    rgba = np.dstack([rgb, alpha])
    add("rgba.png", rgba, on_white(rgb, alpha), ("alpha",), off=1)
    opaque = np.dstack([rgb, np.full_like(alpha, 255)])
    add("opaque.png", opaque, rgb)


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
    data = encode(image, "PNG", transparency=opacities.tobytes())
    expected = on_white(colours[plane], opacities[plane])
    add("pa opacities.png", data, expected, ("palette", "alpha"), off=1)


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
    colour = deep[..., :3]

    def case(name, pixels, expected=None, *notes, off=0, reason="", **options):
        tifffile.imwrite(folder / name, pixels, metadata=None, **{"photometric": "rgb"} | options)
        add(name, None, expected, notes, reason, off)

    add("rgb.tif", encode(rgb, "TIFF"), rgb)
    add("lzw.tiff", encode(rgb, "TIFF", compression="tiff_lzw"), rgb)
    case("planar.tif", rgb.transpose(2, 0, 1), rgb, planarconfig="separate")
    case("tiled.tif", rgb, rgb, tile=(16, 16))
    levels = rounded(gray(deep[..., 0]))
    case("l16.tif", deep[..., 0], levels, "gray", "16-bit", photometric="minisblack")
    inverse = rounded(gray(65535 - deep[..., 0]))
    case("white is zero.tif", deep[..., 0], inverse, "gray", "16-bit", photometric="miniswhite")
    case("rgb16.tif", colour, rounded(colour), "16-bit")
    case("dark rgb16.tif", colour >> 6, rounded(colour >> 6), "16-bit", "dark 16-bit")
    case("rgb16 big.tif", colour, rounded(colour), "16-bit", byteorder=">")
    zipped = {"compression": "zlib", "predictor": True}
    case("rgb16 zip.tif", colour, rounded(colour), "16-bit", **zipped)
    case("rgb16 tiled.tif", colour, rounded(colour), "16-bit", tile=(16, 16))
    planes = {"planarconfig": "separate"}
    case("rgb16 planar.tif", colour.transpose(2, 0, 1), reason="layout R are not read", **planes)
    laid = on_white(colour, deep[..., 3], 65535)
    case("rgba16.tif", deep, laid, "alpha", "16-bit", extrasamples=["unassalpha"])
    times = (colour * (deep[..., 3:] / 65535)).round().astype(np.uint16)
    multiplied = np.dstack([times, deep[..., 3]])
    case(
        "rgba16 times.tif", multiplied, laid, "alpha", "16-bit", extrasamples=["assocalpha"], off=1
    )
    strip = lzw(colour.astype("<u2").tobytes())
    data = tiff(48, 32, bits=16, compression=5, strip=strip)
    add("rgb16 lzw.tif", data, rounded(colour), ("16-bit",))


def lossy(folder: Path, add: Add) -> None:
    """JPEG, and others with loss."""
    photo = photo_crop()
    add("photo.jpg", photo, photo, off=NEARLY, **FINE)
    add("progressive.jpg", photo, photo, off=NEARLY, progressive=True, **FINE)
    plane = photo[..., 0]
    add("gray.jpeg", plane, gray(plane), ("gray",), off=NEARLY, **FINE)
    smooth = np.array(Image.fromarray(photo).resize((64, 48), box=(0, 0, 8, 6)))
    add("lossy.webp", smooth, smooth, off=16, quality=95)


def inks(folder: Path, add: Add) -> None:
    """CMYK: full of ink is 255 in memory, but 0 in what Adobe writes."""
    cmyk = np.repeat(np.repeat(noise(2, 3, 4), 16, 0), 16, 1)
    light = 1 - cmyk / 255
    expected = (255 * light[..., :3] * light[..., 3:]).round().astype(np.uint8)
    adobe = encode(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=100)
    add("adobe cmyk.jpg", adobe, expected, ("cmyk",), off=4)
    plain = encode(Image.fromarray(255 - cmyk, "CMYK"), "JPEG", quality=100)
    add("cmyk.jpg", without(plain, 0xEE), expected, ("cmyk",), off=4)
    add("cmyk.tif", encode(Image.fromarray(cmyk, "CMYK"), "TIFF"), expected, ("cmyk",), off=1)


def turned(folder: Path, add: Add) -> None:
    """All orientations, and broken metadata."""
    rgb = noise(21, 34, 3)
    for orientation, upright in UPRIGHT.items():
        notes = () if orientation == 1 else ("rotated",)
        add(f"turned {orientation}.png", rgb, upright(rgb), notes, exif=exif(orientation))
        data = encode(rgb, "TIFF", tiffinfo={ORIENTATION: orientation})
        add(f"turned {orientation}.tif", data, upright(rgb), notes)
    photo, options = photo_crop(), {"off": NEARLY, "exif": exif(6)}
    add("turned.jpg", photo, UPRIGHT[6](photo), ("rotated",), **FINE, **options)
    add("turned.webp", rgb, UPRIGHT[5](rgb), ("rotated",), lossless=True, exif=exif(5))
    deep = noise(21, 34, 3, dtype=np.uint16)
    tags = chunk(b"eXIf", exif(8).tobytes()[6:])
    expected = UPRIGHT[8](rounded(deep))
    add("turned16.png", png(deep, tags), expected, ("16-bit", "rotated"))
    options = {
        "photometric": "rgb",
        "metadata": None,
        "extratags": [(ORIENTATION, "H", 1, 8, True)],
    }
    tifffile.imwrite(folder / "turned16.tif", deep, **options)
    add("turned16.tif", None, expected, ("16-bit", "rotated"))


def bad_metadata(folder: Path, add: Add) -> None:
    rgb = noise(21, 34, 3)
    garbage = b"Exif\0\0MM\0*\xff\xff\xff\xff" + noise(50).tobytes()
    add("bad exif.png", png(rgb, chunk(b"eXIf", garbage[6:])), rgb)
    add("bad exif.jpg", photo_crop(), photo_crop(), off=NEARLY, **FINE, exif=garbage)
    add("turned 9.png", encode(rgb, "PNG", exif=exif(9)), rgb)
    profile = b"no profile at all" * 20
    add("bad icc.png", rgb, rgb, icc_profile=profile)
    add("bad icc.jpg", photo_crop(), photo_crop(), off=NEARLY, **FINE, icc_profile=profile)
    cut = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile)[:9])
    add("cut icc.png", png(rgb, cut), rgb)


def frames(folder: Path, add: Add) -> None:
    """More than one image in a file: the first counts."""
    colours = [(200, 30, 10), (10, 200, 30), (30, 10, 200)]
    images = [Image.new("RGB", (34, 21), colour) for colour in colours]
    first = np.array(images[0])
    more = {"save_all": True, "append_images": images[1:]}
    add("many.gif", encode(images[0], "GIF", **more), first, ("palette", "animated"))
    for kind in ("webp", "png", "tiff"):
        add(f"many.{kind}", images[0], first, ("animated",), **more, lossless=True)
    # What phones add to a photo, such as a map of depths, is no second frame of it.
    data = encode(Image.fromarray(photo_crop()), "MPO", **FINE, **more)
    add("two.jpg", data, photo_crop(), off=NEARLY)


def sizes(folder: Path, add: Add) -> None:
    for height, width in ((1, 1), (1, 4096), (4096, 1)):
        rgb = noise(height, width, 3)
        rgb[0, 0] = 1, 2, 3
        add(f"{width}x{height}.png", rgb, rgb)


# -- bad files ----------------------------------------------------------------------------------


def broken(folder: Path, add: Add) -> None:
    """Images that are damaged, too large or of no use."""
    rgb = noise(48, 64, 3)
    good, jpeg = png(rgb), encode(photo_crop(), "JPEG", **FINE)
    add("cut.png", good[: len(good) // 2], reason="[tT]runcated")
    add("no end.png", good[:-12], reason="[tT]runcated")
    add("cut16.png", png(noise(9, 9, 3, dtype=np.uint16))[:-60], reason="truncated|Truncated")
    add("cut.jpg", jpeg[: len(jpeg) // 2], reason="truncated")
    add("cut header.jpg", jpeg[:30], reason="Truncated")
    unwritten = jpeg[: len(jpeg) // 2] + bytes(9999)
    add("unwritten.jpg", unwritten, reason="ends in zeros")
    for name in ("rgb.tif", "rgb16.tif", "rgb.webp", "rgb.bmp", "p.gif", "rgb.ppm"):
        data = (folder / name).read_bytes()
        add(f"cut {name}", data[: len(data) // 2], reason="cut|truncated|damaged|decode")
    for name, at in (("IHDR", 18), ("IDAT", len(good) - 600)):
        damaged = bytearray(good)
        damaged[at] ^= 4
        add(f"bad {name}.png", bytes(damaged), reason="broken PNG")
    half = np.full((21, 34), 0.5, np.float32)
    add("float.tif", encode(half, "TIFF"), reason="mode F")
    half[3, 4] = np.nan
    add("nan.tif", encode(half, "TIFF"), reason="mode F")
    deep = noise(21, 34, dtype=np.uint16).astype(np.int32)
    add("32-bit.tif", encode(deep, "TIFF"), reason="mode I")


def bombs(folder: Path, add: Add) -> None:
    """Headers that promise 50,000x50,000 pixels."""
    jpeg = encode(photo_crop(), "JPEG", **FINE)
    side, reason = 50_000, "50000x50000 pixels, more than"
    start = b"\x89PNG\r\n\x1a\n" + header(side, side, 8, 2)
    data = start + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    add("bomb.png", data, reason=reason)
    data = tiff(side, side, bits=8, compression=1, strip=bytes(99))
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
    page = b"\n<!DOCTYPE html><html>404 not found</html>"
    add("page.jpg", page, reason=f"{unknown}.*<!DOCTYPE html>")
    add("noise.png", noise(5000, seed=5).tobytes(), reason=unknown)
    add("pointer.png", LFS, reason="Git LFS pointer.*git lfs pull")
    heic = b"\0\0\0\x18ftypheic" + noise(99).tobytes()
    add("phone.HEIC", heic, reason="HEIF files are not read: convert")
    add("phone.jpg", heic, reason=unknown)
    raw = (folder / "rgb.tif").read_bytes()
    add("camera.dng", raw, reason="camera raw files are not read")
    add("eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n", reason=unknown)


def names(folder: Path, add: Add) -> None:
    """Good images under any name."""
    rgb = noise(21, 34, 3, seed=9)
    good = encode(rgb, "PNG")
    for name in (
        "UPPER.PNG",
        "wrong.jpg",
        "no suffix",
        "phone.heif",
        "a\nb.png",
        "tab\t.png",
        "ünï 😀.png",
    ):
        add(name, good, rgb)
    add(("n" * 251 + ".png"), good, rgb)
    add(os.fsdecode(b"bytes \xff\xfe.png"), good, rgb)
    data = encode(photo_crop(), "JPEG", **FINE)
    add("wrong.png", data, photo_crop(), off=NEARLY)


def links(folder: Path, add: Add) -> None:
    (folder / "link.png").symlink_to("rgb.png")
    add("link.png", None, noise(21, 34, 3))
    (folder / "loop.png").symlink_to("loop.png")
    add("loop.png", None, reason="symbolic links")
    (folder / "dangling.png").symlink_to("nowhere\n.png")
    add("dangling.png", None, reason=r"No such file.*a link to nowhere\\n.png")
    add("never.png", None, reason="No such file|Not a directory")
    add("rgb.png/x.png", None, reason="No such file|Not a directory")


def no_files(folder: Path, add: Add) -> None:
    (folder / "folder.png").mkdir()
    add("folder.png", None, reason="not a regular file")
    os.mkfifo(folder / "pipe.png")
    add("pipe.png", None, reason="not a regular file")
    os.mknod(folder / "socket.png", stat.S_IFSOCK | 0o600)
    add("socket.png", None, reason="not a regular file")
    (folder / "device.png").symlink_to("/dev/zero")
    add("device.png", None, reason="not a regular file")
    secret = folder / "secret.png"
    if os.geteuid():
        secret.touch(0o000)
        add(secret.name, None, reason="Permission denied")
    else:  # whom no permission stops
        secret.symlink_to("/proc/self/mem")
        add(secret.name, None, reason="cannot be read: Input/output error")

"""Files of every kind that lie in folders of photos, and what each must decode to.

Expected pixels never come from the code under test: they are the arrays that were written; for a
lossy file, nearly. What no library here writes is put together byte by byte.
"""

import io
import os
import stat
import struct
import zlib
from collections.abc import Iterator
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


def build(folder: Path) -> list[Case]:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = (modes, sixteen_bits, tiffs, lossy, turned, frames, sizes, broken, no_images, names)
    return [case for group in groups for case in [*group(folder), *specials(folder, group)]]


def specials(folder: Path, group: object) -> Iterator[Case]:
    """What is no regular file, once."""
    if group is names:
        yield from links(folder)
        yield from no_files(folder)


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
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


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
        starts = [
            (0, 0, 8, 8),
            (0, 4, 8, 8),
            (4, 0, 8, 4),
            (0, 2, 4, 4),
            (2, 0, 4, 2),
            (0, 1, 2, 2),
            (1, 0, 2, 1),
        ]
        passes = [samples[y::dy, x::dx] for y, x, dy, dx in starts]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = b"".join(scanlines(part) for part in passes)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            header(width, height, 8 * samples.itemsize, colour, int(interlaced)),
            *more,
            chunk(b"IDAT", zlib.compress(lines)),
            chunk(b"IEND", b""),
        ]
    )


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
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, extra),
        (259, 3, 1, compression),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
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


def write(path: Path, data: bytes, *args: object, **expected: object) -> Case:
    path.write_bytes(data)
    return Case(path, *args, **expected)


# -- good files ---------------------------------------------------------------------------------


def modes(folder: Path) -> Iterator[Case]:
    """Every kind of pixels of 8 bits and fewer."""
    rgb, alpha = noise(21, 34, 3), noise(21, 34, seed=1)
    plane, bits = rgb[..., 0], rgb[..., 0] > 127
    yield write(folder / "rgb.png", encode(rgb, "PNG"), rgb)
    yield write(folder / "rgb.bmp", encode(rgb, "BMP"), rgb)
    yield write(folder / "rgb.ppm", encode(rgb, "PPM"), rgb)
    yield write(folder / "rgb.webp", encode(rgb, "WEBP", lossless=True), rgb)
    yield write(folder / "interlaced.png", png(rgb, interlaced=True), rgb)
    yield write(folder / "1-bit.png", encode(bits, "PNG"), gray(bits * np.uint8(255)), ("gray",))
    yield write(
        folder / "bits.pbm",
        encode(Image.fromarray(bits), "PPM"),
        gray(bits * np.uint8(255)),
        ("gray",),
    )
    yield write(folder / "l.png", encode(plane, "PNG"), gray(plane), ("gray",))
    yield write(folder / "gray as rgb.png", encode(gray(plane), "PNG"), gray(plane), ("gray",))
    almost = gray(plane).copy()
    almost[20, 33, 2] ^= 1
    yield write(folder / "almost gray.png", encode(almost, "PNG"), almost)
    ga = np.stack([plane, alpha], -1)
    yield write(folder / "la.png", png(ga), on_white(gray(plane), alpha), ("gray", "alpha"), off=1)
    rgba = np.dstack([rgb, alpha])
    yield write(folder / "rgba.png", encode(rgba, "PNG"), on_white(rgb, alpha), ("alpha",), off=1)
    opaque = np.dstack([rgb, np.full_like(alpha, 255)])
    yield write(folder / "opaque.png", encode(opaque, "PNG"), rgb)
    yield from palettes(folder, plane)


def palettes(folder: Path, plane: np.ndarray) -> Iterator[Case]:
    colours = noise(256, 3, seed=2)
    image = Image.fromarray(plane, "L")
    image.putpalette(colours.tobytes())
    yield write(folder / "p.png", encode(image, "PNG"), colours[plane], ("palette",))
    yield write(folder / "p.bmp", encode(image, "BMP"), colours[plane], ("palette",))
    yield write(folder / "p.gif", encode(image, "GIF"), colours[plane], ("palette",))
    yield write(folder / "p.tif", encode(image, "TIFF"), colours[plane], ("palette",))
    clear = np.where(plane == 7, 0, 255)
    expected = on_white(colours[plane], clear)
    yield write(
        folder / "pa.png", encode(image, "PNG", transparency=7), expected, ("palette", "alpha")
    )
    yield write(
        folder / "pa.gif", encode(image, "GIF", transparency=7), expected, ("palette", "alpha")
    )
    opacities = noise(256, seed=3)
    data = encode(image, "PNG", transparency=opacities.tobytes())
    expected = on_white(colours[plane], opacities[plane])
    yield write(folder / "pa opacities.png", data, expected, ("palette", "alpha"), off=1)


def sixteen_bits(folder: Path) -> Iterator[Case]:
    """PNG and PPM of 16 bits a sample."""
    deep = noise(21, 34, 4, dtype=np.uint16)
    rgb, alpha, dark = deep[..., :3], deep[..., 3], deep[..., :3] >> 4
    some, note = gray(rgb[..., 0]), "16-bit"
    yield write(folder / "l16.png", png(deep[..., :1]), rounded(some), ("gray", note))
    yield write(
        folder / "dark l16.png",
        png(dark[..., :1]),
        gray(rounded(dark[..., 0])),
        ("gray", note, "dark 16-bit"),
    )
    yield write(folder / "rgb16.png", png(rgb), rounded(rgb), (note,))
    yield write(folder / "interlaced16.png", png(rgb, interlaced=True), rounded(rgb), (note,))
    yield write(folder / "dark rgb16.png", png(dark), rounded(dark), (note, "dark 16-bit"))
    yield write(folder / "rgba16.png", png(deep), on_white(rgb, alpha, 65535), ("alpha", note))
    yield write(
        folder / "la16.png",
        png(deep[..., [0, 3]]),
        on_white(some, alpha, 65535),
        ("gray", "alpha", note),
    )
    key = chunk(b"tRNS", rgb[4, 5].astype(">u2").tobytes())
    expected = rounded(rgb)
    expected[4, 5] = 255
    yield write(folder / "rgb16 key.png", png(rgb, key), expected, ("alpha", note))
    pgm = b"P5 34 21 65535\n" + rgb[..., 0].astype(">u2").tobytes()
    yield write(folder / "l16.pgm", pgm, rounded(some), ("gray", note))
    ppm = b"P6 34 21 65535\n" + rgb.astype(">u2").tobytes()
    yield write(folder / "rgb16.ppm", ppm, rounded(rgb))


def tiffs(folder: Path) -> Iterator[Case]:
    """TIFF in its many ways."""
    rgb, deep = noise(32, 48, 3), noise(32, 48, 4, dtype=np.uint16)
    colour = deep[..., :3]

    def case(name, pixels, expected=None, *notes, off=0, reason="", **options):
        tifffile.imwrite(folder / name, pixels, metadata=None, **options)
        return Case(folder / name, expected, notes, reason, off)

    yield write(folder / "rgb.tif", encode(rgb, "TIFF"), rgb)
    yield write(folder / "lzw.tiff", encode(rgb, "TIFF", compression="tiff_lzw"), rgb)
    yield case(
        "planar.tif", rgb.transpose(2, 0, 1), rgb, photometric="rgb", planarconfig="separate"
    )
    yield case("tiled.tif", rgb, rgb, photometric="rgb", tile=(16, 16))
    yield case("l16.tif", deep[..., 0], rounded(gray(deep[..., 0])), "gray", "16-bit")
    inverse = rounded(gray(65535 - deep[..., 0]))
    yield case(
        "white is zero.tif", deep[..., 0], inverse, "gray", "16-bit", photometric="miniswhite"
    )
    yield case("rgb16.tif", colour, rounded(colour), "16-bit", photometric="rgb")
    yield case(
        "dark rgb16.tif",
        colour >> 6,
        rounded(colour >> 6),
        "16-bit",
        "dark 16-bit",
        photometric="rgb",
    )
    yield case("rgb16 big.tif", colour, rounded(colour), "16-bit", photometric="rgb", byteorder=">")
    zipped = {"photometric": "rgb", "compression": "zlib", "predictor": True}
    yield case("rgb16 zip.tif", colour, rounded(colour), "16-bit", **zipped)
    yield case(
        "rgb16 tiled.tif", colour, rounded(colour), "16-bit", photometric="rgb", tile=(16, 16)
    )
    planes = {"photometric": "rgb", "planarconfig": "separate"}
    yield case(
        "rgb16 planar.tif", colour.transpose(2, 0, 1), reason="layout R are not read", **planes
    )
    laid = on_white(colour, deep[..., 3], 65535)
    yield case(
        "rgba16.tif", deep, laid, "alpha", "16-bit", photometric="rgb", extrasamples=["unassalpha"]
    )
    times = (colour * (deep[..., 3:] / 65535)).round().astype(np.uint16)
    multiplied = np.dstack([times, deep[..., 3]])
    yield case(
        "rgba16 times.tif",
        multiplied,
        laid,
        "alpha",
        "16-bit",
        photometric="rgb",
        extrasamples=["assocalpha"],
        off=1,
    )
    strip = lzw(colour.astype("<u2").tobytes())
    data = tiff(48, 32, bits=16, compression=5, strip=strip)
    yield write(folder / "rgb16 lzw.tif", data, rounded(colour), ("16-bit",))


def lossy(folder: Path) -> Iterator[Case]:
    """JPEG, and others with loss."""
    photo = photo_crop()
    yield write(folder / "photo.jpg", encode(photo, "JPEG", **FINE), photo, off=NEARLY)
    data = encode(photo, "JPEG", progressive=True, **FINE)
    yield write(folder / "progressive.jpg", data, photo, off=NEARLY)
    plane = photo[..., 0]
    data = encode(plane, "JPEG", **FINE)
    yield write(folder / "gray.jpeg", data, gray(plane), ("gray",), off=NEARLY)
    smooth = np.array(Image.fromarray(photo).resize((64, 48), box=(0, 0, 8, 6)))
    yield write(folder / "lossy.webp", encode(smooth, "WEBP", quality=95), smooth, off=16)
    yield from inks(folder)


def inks(folder: Path) -> Iterator[Case]:
    """CMYK: full of ink is 255 in memory, but 0 in what Adobe writes."""
    cmyk = np.repeat(np.repeat(noise(2, 3, 4), 16, 0), 16, 1)
    light = 1 - cmyk / 255
    expected = (255 * light[..., :3] * light[..., 3:]).round().astype(np.uint8)
    adobe = encode(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=100)
    yield write(folder / "adobe cmyk.jpg", adobe, expected, ("cmyk",), off=4)
    plain = encode(Image.fromarray(255 - cmyk, "CMYK"), "JPEG", quality=100)
    yield write(folder / "cmyk.jpg", without(plain, 0xEE), expected, ("cmyk",), off=4)
    yield write(
        folder / "cmyk.tif",
        encode(Image.fromarray(cmyk, "CMYK"), "TIFF"),
        expected,
        ("cmyk",),
        off=1,
    )


def turned(folder: Path) -> Iterator[Case]:
    """All orientations, and broken metadata."""
    rgb = noise(21, 34, 3)
    for orientation, upright in UPRIGHT.items():
        notes = () if orientation == 1 else ("rotated",)
        data = encode(rgb, "PNG", exif=exif(orientation))
        yield write(folder / f"turned {orientation}.png", data, upright(rgb), notes)
        data = encode(rgb, "TIFF", tiffinfo={ORIENTATION: orientation})
        yield write(folder / f"turned {orientation}.tif", data, upright(rgb), notes)
    data = encode(photo_crop(), "JPEG", **FINE, exif=exif(6))
    yield write(folder / "turned.jpg", data, UPRIGHT[6](photo_crop()), ("rotated",), off=NEARLY)
    data = encode(rgb, "WEBP", lossless=True, exif=exif(5))
    yield write(folder / "turned.webp", data, UPRIGHT[5](rgb), ("rotated",))
    deep = noise(21, 34, 3, dtype=np.uint16)
    tags = chunk(b"eXIf", exif(8).tobytes()[6:])
    expected = UPRIGHT[8](rounded(deep))
    yield write(folder / "turned16.png", png(deep, tags), expected, ("16-bit", "rotated"))
    path = folder / "turned16.tif"
    tag = [(ORIENTATION, "H", 1, 8, True)]
    tifffile.imwrite(path, deep, photometric="rgb", metadata=None, extratags=tag)
    yield Case(path, expected, ("16-bit", "rotated"))
    yield from bad_metadata(folder, rgb)


def bad_metadata(folder: Path, rgb: np.ndarray) -> Iterator[Case]:
    garbage = b"Exif\0\0MM\0*\xff\xff\xff\xff" + noise(50).tobytes()
    yield write(folder / "bad exif.png", png(rgb, chunk(b"eXIf", garbage[6:])), rgb)
    data = encode(photo_crop(), "JPEG", **FINE, exif=garbage)
    yield write(folder / "bad exif.jpg", data, photo_crop(), off=NEARLY)
    yield write(folder / "turned 9.png", encode(rgb, "PNG", exif=exif(9)), rgb)
    profile = b"no profile at all" * 20
    yield write(folder / "bad icc.png", encode(rgb, "PNG", icc_profile=profile), rgb)
    data = encode(photo_crop(), "JPEG", **FINE, icc_profile=profile)
    yield write(folder / "bad icc.jpg", data, photo_crop(), off=NEARLY)
    cut = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile)[:9])
    yield write(folder / "cut icc.png", png(rgb, cut), rgb)


def frames(folder: Path) -> Iterator[Case]:
    """More than one image in a file: the first counts."""
    colours = [(200, 30, 10), (10, 200, 30), (30, 10, 200)]
    images = [Image.new("RGB", (34, 21), colour) for colour in colours]
    first = np.array(images[0])
    more = {"save_all": True, "append_images": images[1:]}
    yield write(
        folder / "many.gif", encode(images[0], "GIF", **more), first, ("palette", "animated")
    )
    yield write(
        folder / "many.webp", encode(images[0], "WEBP", lossless=True, **more), first, ("animated",)
    )
    yield write(folder / "many.png", encode(images[0], "PNG", **more), first, ("animated",))
    yield write(folder / "many.tif", encode(images[0], "TIFF", **more), first, ("animated",))
    # What phones add to a photo, such as a map of depths, is no second frame of it.
    data = encode(Image.fromarray(photo_crop()), "MPO", **FINE, **more)
    yield write(folder / "two.jpg", data, photo_crop(), off=NEARLY)


def sizes(folder: Path) -> Iterator[Case]:
    for height, width in ((1, 1), (1, 4096), (4096, 1)):
        rgb = noise(height, width, 3)
        rgb[0, 0] = 1, 2, 3
        yield write(folder / f"{width}x{height}.png", encode(rgb, "PNG"), rgb)


# -- bad files ----------------------------------------------------------------------------------


def broken(folder: Path) -> Iterator[Case]:
    """Images that are damaged, too large or of no use."""
    rgb = noise(48, 64, 3)
    good, jpeg = png(rgb), encode(photo_crop(), "JPEG", **FINE)
    yield write(folder / "cut.png", good[: len(good) // 2], reason="[tT]runcated")
    yield write(folder / "no end.png", good[:-12], reason="[tT]runcated")
    yield write(
        folder / "cut16.png",
        png(noise(9, 9, 3, dtype=np.uint16))[:-60],
        reason="truncated|Truncated",
    )
    yield write(folder / "cut.jpg", jpeg[: len(jpeg) // 2], reason="truncated")
    yield write(folder / "cut header.jpg", jpeg[:30], reason="Truncated")
    unwritten = jpeg[: len(jpeg) // 2] + bytes(9999)
    yield write(folder / "unwritten.jpg", unwritten, reason="ends in zeros")
    for name in ("rgb.tif", "rgb16.tif", "rgb.webp", "rgb.bmp", "p.gif", "rgb.ppm"):
        data = (folder / name).read_bytes()
        reason = "cut|truncated|damaged|decode"
        yield write(folder / f"cut {name}", data[: len(data) // 2], reason=reason)
    for name, at in (("IHDR", 18), ("IDAT", len(good) - 600)):
        damaged = bytearray(good)
        damaged[at] ^= 4
        reason = "broken PNG"
        yield write(folder / f"bad {name}.png", bytes(damaged), reason=reason)
    yield from bombs(folder, jpeg)
    half = np.full((21, 34), 0.5, np.float32)
    yield write(folder / "float.tif", encode(half, "TIFF"), reason="mode F")
    half[3, 4] = np.nan
    yield write(folder / "nan.tif", encode(half, "TIFF"), reason="mode F")
    deep = noise(21, 34, dtype=np.uint16).astype(np.int32)
    yield write(folder / "32-bit.tif", encode(deep, "TIFF"), reason="mode I")


def bombs(folder: Path, jpeg: bytes) -> Iterator[Case]:
    """Headers that promise 50,000x50,000 pixels."""
    side, reason = 50_000, "50000x50000 pixels, more than"
    start = b"\x89PNG\r\n\x1a\n" + header(side, side, 8, 2)
    data = start + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    yield write(folder / "bomb.png", data, reason=reason)
    data = tiff(side, side, bits=8, compression=1, strip=bytes(99))
    yield write(folder / "bomb.tif", data, reason=reason)
    at = jpeg.index(b"\xff\xc0") + 5
    data = jpeg[:at] + struct.pack(">HH", side, side) + jpeg[at + 4 :]
    yield write(folder / "bomb.jpg", data, reason=reason)
    bmp = encode(noise(2, 2, 3), "BMP")
    yield write(
        folder / "bomb.bmp", bmp[:18] + struct.pack("<ii", side, side) + bmp[26:], reason=reason
    )
    yield write(folder / "bomb.ppm", b"P6 50000 50000 255\n" + bytes(99), reason=reason)


def no_images(folder: Path) -> Iterator[Case]:
    """Files that are something else."""
    unknown = "not an image of the formats JPEG, PNG, .*"
    yield write(folder / "empty.png", b"", reason="an empty file")
    yield write(folder / "zeros.jpg", bytes(5000), reason=unknown)
    yield write(
        folder / "text.png",
        b"no image\n" * 9,
        reason=unknown,
    )
    page = b"\n<!DOCTYPE html><html>404 not found</html>"
    yield write(folder / "page.jpg", page, reason=f"{unknown}.*<!DOCTYPE html>")
    yield write(folder / "noise.png", noise(5000, seed=5).tobytes(), reason=unknown)
    yield write(folder / "pointer.png", LFS, reason="Git LFS pointer.*git lfs pull")
    heic = b"\0\0\0\x18ftypheic" + noise(99).tobytes()
    yield write(folder / "phone.HEIC", heic, reason="HEIF files are not read: convert")
    yield write(folder / "phone.jpg", heic, reason=unknown)
    raw = (folder / "rgb.tif").read_bytes()
    yield write(folder / "camera.dng", raw, reason="camera raw files are not read")
    yield write(
        folder / "eps.png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        reason=unknown,
    )


def names(folder: Path) -> Iterator[Case]:
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
        yield write(folder / name, good, rgb)
    yield write(folder / ("n" * 251 + ".png"), good, rgb)
    yield write(Path(os.fsdecode(os.fsencode(folder) + b"/bytes \xff\xfe.png")), good, rgb)
    data = encode(photo_crop(), "JPEG", **FINE)
    yield write(folder / "wrong.png", data, photo_crop(), off=NEARLY)


def links(folder: Path) -> Iterator[Case]:
    (folder / "link.png").symlink_to("rgb.png")
    yield Case(folder / "link.png", noise(21, 34, 3))
    (folder / "loop.png").symlink_to("loop.png")
    yield Case(folder / "loop.png", reason="symbolic links")
    (folder / "dangling.png").symlink_to("nowhere\n.png")
    yield Case(folder / "dangling.png", reason=r"No such file.*a link to nowhere\\n.png")
    yield Case(folder / "never.png", reason="No such file|Not a directory")
    yield Case(folder / "rgb.png" / "x.png", reason="No such file|Not a directory")


def no_files(folder: Path) -> Iterator[Case]:
    (folder / "folder.png").mkdir()
    yield Case(folder / "folder.png", reason="not a regular file")
    os.mkfifo(folder / "pipe.png")
    yield Case(folder / "pipe.png", reason="not a regular file")
    os.mknod(folder / "socket.png", stat.S_IFSOCK | 0o600)
    yield Case(folder / "socket.png", reason="not a regular file")
    (folder / "device.png").symlink_to("/dev/zero")
    yield Case(folder / "device.png", reason="not a regular file")
    secret = folder / "secret.png"
    if os.geteuid():
        secret.touch(0o000)
        yield Case(secret, reason="Permission denied")
    else:  # whom no permission stops
        secret.symlink_to("/proc/self/mem")
        yield Case(secret, reason="cannot be read: Input/output error")

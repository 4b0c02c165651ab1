"""Image files for people: found, read with their transparency, written whole."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from srlit.data.photo import SUFFIXES, PhotoError, open_photo, pixels_of, to_rgb
from srlit.utils.atomic import atomic_file

WRITABLE: dict[str, dict[str, Any]] = {
    ".png": {},
    ".webp": {"lossless": True},
    ".jpg": {"quality": 95, "subsampling": 0},
}


class Picture(NamedTuple):
    """An image file, read.

    Attributes:
        rgb: (1, 3, h, w) in [0, 1].
        alpha: its transparency, (1, 1, h, w) in [0, 1], where it has one.
        profile: its ICC profile where that is one of RGB, handed on to the result.
    """

    rgb: Float[Tensor, "1 3 h w"]
    alpha: Float[Tensor, "1 1 h w"] | None
    profile: bytes | None


def find_images(name: str, *, outside: Path | None = None) -> list[Path]:
    """The file itself, or all image files below a folder, sorted.

    Args:
        name: the file or folder; names that begin with a dot are left out.
        outside: a folder whose files are no inputs, such as that of the results.

    Raises:
        FileNotFoundError: there is nothing, or a folder without images.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        msg = f"input={name}: no such file or folder"
        raise FileNotFoundError(msg)
    barred = outside.resolve() if outside is not None else None
    found = sorted(
        p
        for p in path.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and not p.name.startswith(".")
        and p.is_file()
        and not (barred is not None and p.resolve().is_relative_to(barred))
    )
    if not found:
        msg = f"input={name}: no image in this folder (looked for {', '.join(SUFFIXES)})"
        raise FileNotFoundError(msg)
    return found


def read_image(path: Path) -> Picture:
    """Read an image, upright; what is transparent keeps its colour.

    Raises:
        PhotoError: the file cannot be decoded.
    """
    image = open_photo(path)
    # A profile of CMYK or gray would be wrong for the RGB result.
    profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA", "P"} else None
    if not image.has_transparency_data:
        rgb, alpha = to_rgb(image), None
    else:
        rgba = image.convert("RGBA")
        rgb = rgba.convert("RGB")
        alpha = pixels_of(rgba)[None, 3:].float() / 255
    return Picture(pixels_of(rgb)[None].float() / 255, alpha, profile)


def output_path(source: Path, root: Path, folder: Path, suffix: str) -> Path:
    """Where the result of `source` goes: its place below `root`, moved below `folder`.

    Raises:
        ValueError: files of this kind are not written.
    """
    if suffix not in WRITABLE:
        msg = f"format={suffix!r}: expected one of {', '.join(WRITABLE)}"
        raise ValueError(msg)
    relative = source.name if root.is_file() else str(source.relative_to(root))
    return (folder / relative).with_suffix(suffix)


def write_image(
    path: Path,
    rgb: Float[Tensor, "1 3 h w"],
    alpha: Float[Tensor, "1 1 h w"] | None = None,
    profile: bytes | None = None,
) -> None:
    """Write an 8-bit image, whole or not at all.

    Raises:
        PhotoError: the format cannot hold the image: its transparency, or its size.
    """
    planes = rgb if alpha is None else torch.cat([rgb, alpha], 1)
    if alpha is not None and path.suffix == ".jpg":
        msg = f"{path}: JPEG holds no transparency; use format=.png"
        raise PhotoError(msg)
    pixels = (planes[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    with atomic_file(path) as sibling:
        try:
            Image.fromarray(pixels).save(sibling, icc_profile=profile, **WRITABLE[path.suffix])
        except ValueError as error:  # WebP holds 16383 pixels a side
            msg = f"{path}: {error}; use format=.png"
            raise PhotoError(msg) from error

"""Image files: found in folders, read with transparency and ICC profile, written atomically."""

import logging
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from PIL import Image, ImageCms
from torch import Tensor

from srlit.data.decode import open_photo, pixels_of, to_rgb
from srlit.data.image_formats import SUFFIXES
from srlit.data.photo_file import PhotoError
from srlit.utils.atomic import atomic_file

log = logging.getLogger(__name__)

Colours = Float[Tensor, "1 3 h w"]
Transparency = Float[Tensor, "1 1 h w"]
JPEG = {"quality": 95, "subsampling": 0}
WRITABLE: dict[str, dict[str, Any]] = {".png": {}, ".webp": {"lossless": True}, ".jpg": JPEG}


class ImageFile(NamedTuple):
    """The content of an image file.

    Attributes:
        rgb: (1, 3, h, w) in [0, 1].
        alpha: its transparency, (1, 1, h, w) in [0, 1]; None where it has none.
        profile: its RGB colour profile (ICC); None where it has none.
    """

    rgb: Colours
    alpha: Transparency | None
    profile: bytes | None


def find_images(name: str, *, outside: Path | None = None) -> list[Path]:
    """The file itself, or all image files below a folder, sorted.

    Args:
        name: the file or folder; names that begin with a dot are left out.
        outside: a folder to leave out, such as that of the results.

    Raises:
        FileNotFoundError: there is nothing, or a folder without images.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    files = (p for p in path.rglob("[!.]*") if p.suffix.lower() in SUFFIXES and p.is_file())
    left_out = outside and outside.resolve()
    found = sorted(p for p in files if not (left_out and p.resolve().is_relative_to(left_out)))
    if not found:
        raise FileNotFoundError(f"input={name}: no image found (looked for {', '.join(SUFFIXES)})")
    return found


def read_image(path: Path) -> ImageFile:
    """Read an image, rotated as its EXIF orientation says; transparent pixels keep their colour.

    Raises:
        PhotoError: the file cannot be decoded.
    """
    image = open_photo(path)
    profile = _rgb_profile(image.info.get("icc_profile") or b"", path)
    rgba = image.convert("RGBA") if image.has_transparency_data else None
    rgb = rgba.convert("RGB") if rgba else to_rgb(image)
    alpha = pixels_of(rgba)[None, 3:].float() / 255 if rgba else None
    return ImageFile(pixels_of(rgb)[None].float() / 255, alpha, profile)


def _rgb_profile(profile: bytes, path: Path) -> bytes | None:
    """The profile if it is one of RGB; others would be wrong for the result, or break it."""
    try:
        space = ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space if profile else ""
    except OSError:
        log.warning("%s: its colour profile is broken, and is left out of the result", path)
        return None
    return profile if space.strip() == "RGB" else None


def output_path(source: Path, root: Path, folder: Path, suffix: str) -> Path:
    """The result of `source`: the same path below `folder` as below `root`, with another suffix."""
    relative = source.name if root.is_file() else str(source.relative_to(root))
    return (folder / relative).with_suffix(suffix)


def write_image(
    path: Path, rgb: Colours, alpha: Transparency | None = None, profile: bytes | None = None
) -> None:
    """Write an 8-bit image atomically.

    Raises:
        PhotoError: the format cannot hold the image's transparency or its size.
    """
    if alpha is not None and path.suffix == ".jpg":
        raise PhotoError(f"{path}: JPEG holds no transparency; use format=.png")
    planes = rgb if alpha is None else torch.cat([rgb, alpha], 1)
    pixels = (planes[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    with atomic_file(path) as sibling:
        try:
            Image.fromarray(pixels).save(sibling, icc_profile=profile, **WRITABLE[path.suffix])
        except ValueError as error:  # WebP holds 16383 pixels a side
            raise PhotoError(f"{path}: {error}; use format=.png") from error

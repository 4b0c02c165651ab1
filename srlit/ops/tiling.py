"""Large images in overlapping tiles, cross-faded where they meet.

Tiles are composed one after the other with `lerp`: where two tiles agree the result is that value
to the last bit, so constants and nearest-neighbour upscaling come out exactly. The cross-fade is a
half-sample Hann ramp, sin^2, which is nowhere 0 or 1: nothing is divided by a vanishing weight and
no border turns black. Besides the result only one strip of tiles is in memory.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

Upscaler = Callable[[Float[Tensor, "1 3 h w"]], Float[Tensor, "1 3 sh sw"]]


def usual_overlap(tile: int | None) -> int:
    """An overlap of 32 pixels, or of half of a smaller tile."""
    return 32 if tile is None else min(32, tile // 2)


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Evenly spread starts of tiles that cover `length` and overlap by at least `overlap`.

    >>> tile_starts(100, 40, 10)
    [0, 30, 60]
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def crossfade(length: int, *, device: torch.device | None = None) -> Float[Tensor, " length"]:
    """Weight of the newer tile over an overlap of `length` pixels: sin^2, strictly in (0, 1)."""
    phase = (torch.arange(length, device=device, dtype=torch.float32) + 0.5) / length
    return torch.sin(phase * math.pi / 2) ** 2


def check_tiles(tile: int, overlap: int) -> None:
    """Raise ValueError where tiles of this size and overlap cannot cover an image."""
    if tile < 1 or not 0 <= overlap <= tile // 2:
        raise ValueError(f"tile={tile} with overlap={overlap}: expected 0 <= overlap <= tile / 2")


def upscale_tiled(
    upscale: Upscaler,
    lr: Float[Tensor, "1 3 h w"],
    *,
    scale: int,
    tile: int = 128,
    overlap: int = 32,
) -> Float[Tensor, "1 3 sh sw"]:
    """Upscale one image tile by tile.

    Args:
        upscale: maps (1, 3, h, w) to (1, 3, scale*h, scale*w) for any h, w >= 1.
        lr: the image.
        scale: the upscaler's factor.
        tile: side of a tile in low-resolution pixels.
        overlap: minimum overlap of neighbouring tiles, in low-resolution pixels, at most tile / 2.

    Raises:
        ValueError: tiles of this size and overlap cannot cover an image.
    """
    check_tiles(tile, overlap)
    upscale_strip = partial(_upscale_along, 3, upscale, scale=scale, tile=tile, overlap=overlap)
    return _upscale_along(2, upscale_strip, lr, scale=scale, tile=tile, overlap=overlap)


def _upscale_along(
    dim: int, upscale: Upscaler, lr: Tensor, *, scale: int, tile: int, overlap: int
) -> Tensor:
    """Upscale tiles along one axis; each is cross-faded with what the ones before it left."""
    n, c, h, w = lr.shape
    canvas = lr.new_empty(n, c, h * scale, w * scale)
    done = 0
    for start in tile_starts(lr.shape[dim], tile, overlap):
        piece = upscale(lr.narrow(dim, start, min(tile, lr.shape[dim])))
        begin, length = start * scale, piece.shape[dim]
        shared = done - begin
        ramp = crossfade(shared, device=lr.device).to(lr.dtype)
        ramp = ramp.view([shared if axis == dim else 1 for axis in range(4)])
        canvas.narrow(dim, begin, shared).lerp_(piece.narrow(dim, 0, shared), ramp)
        new = length - shared
        canvas.narrow(dim, done, new).copy_(piece.narrow(dim, shared, new))
        done = begin + length
    return canvas


def upscale_batch(
    upscale: Upscaler,
    lr: Float[Tensor, "n 3 h w"],
    *,
    scale: int,
    tile: int | None,
    overlap: int = 32,
) -> Float[Tensor, "n 3 sh sw"]:
    """Upscale images at once where they fit into a tile, else one by one in tiles.

    Args:
        upscale: as in `upscale_tiled`, for any number of images.
        lr: the images.
        scale: the upscaler's factor.
        tile: side of a tile in low-resolution pixels; None: images of any size are taken whole.
        overlap: as in `upscale_tiled`.
    """
    if tile is None or max(lr.shape[-2:]) <= tile:
        return upscale(lr)
    sizes = {"scale": scale, "tile": tile, "overlap": overlap}
    return torch.cat([upscale_tiled(upscale, image[None], **sizes) for image in lr])

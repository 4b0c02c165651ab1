"""Upscalers: what maps LR images to SR images, interpolators and trained networks."""

import secrets
from dataclasses import KW_ONLY, dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.resize import bilinear, imresize
from srlit.ops.tiling import check_tiles, upscale_tiled
from srlit.utils.fingerprint import fingerprint

INTERPOLATIONS = {"bilinear": bilinear, "bicubic": imresize}


def pick_device(name: str) -> torch.device:
    """A device by name; 'auto' is the first GPU, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@dataclass(eq=False)
class Interpolator:
    """A baseline: 'bilinear', or 'bicubic' as in MATLAB's imresize.

    Args:
        name: which one.
        scale: upscaling factor.
    """

    name: str
    scale: int

    def __post_init__(self) -> None:
        self.fingerprint = fingerprint("interpolator", self.name, self.scale)

    def __call__(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Interpolate."""
        return INTERPOLATIONS[self.name](lr, self.scale)

    def tiled(self, tile: int | None) -> "Interpolator":  # noqa: ARG002 - as NetworkUpscaler's
        """The same: tiles make no difference."""
        return self


@dataclass(eq=False)
class NetworkUpscaler:
    """A trained generator, applied to whole images or tiles in float32.

    Args:
        name: what tables call it.
        generator: the network, with `scale`.
        device: where it runs.
        tile: side of a tile in LR pixels; None takes images of any size whole.
        overlap: minimum overlap of tiles in LR pixels.
        source: identifies its weights, such as their digest; None: they equal no other's.

    Raises:
        ValueError: tiles of this size and overlap cannot cover an image.
    """

    name: str
    generator: nn.Module
    _: KW_ONLY
    device: torch.device
    tile: int | None = None
    overlap: int = 32
    source: str | None = None

    def __post_init__(self) -> None:
        if self.tile is not None:
            check_tiles(self.tile, self.overlap)
        self.scale = int(self.generator.scale)  # type: ignore[arg-type]
        weights = self.source or secrets.token_hex()
        self.fingerprint = fingerprint("network", weights, self.tile, self.overlap)
        self.generator.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def tiled(self, tile: int | None) -> "NetworkUpscaler":
        """The same network with tiles of another size."""
        return replace(self, tile=tile)

    @torch.inference_mode()
    def __call__(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Upscale; the result is on the device of `lr`, clamped to [0, 1]."""
        images = lr.to(self.device)
        if self.tile is None or max(images.shape[-2:]) <= self.tile:
            sr = self._whole(images)
        else:
            sizes = {"scale": self.scale, "tile": self.tile, "overlap": self.overlap}
            sr = torch.cat([upscale_tiled(self._whole, one[None], **sizes) for one in images])
        return sr.clamp(0, 1).to(lr.device)

    def _whole(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        sr: Tensor = self.generator(images.contiguous(memory_format=torch.channels_last))
        return sr


Upscaler = Interpolator | NetworkUpscaler

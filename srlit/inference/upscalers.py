"""Upscalers: what maps LR images to SR images, interpolators and trained networks."""

import logging
import secrets
from dataclasses import KW_ONLY, dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.resize import bilinear, imresize
from srlit.ops.tiling import check_tiles, upscale_batch
from srlit.utils.fingerprint import fingerprint

log = logging.getLogger(__name__)

GPUS = {"cuda", "mps", "xpu"}
INTERPOLATIONS = {"bilinear": bilinear, "bicubic": imresize}


def pick_device(name: str) -> torch.device:
    """A device by name; 'auto' is the GPU (cuda, Apple's mps, Intel's xpu), else the CPU.

    Raises:
        ValueError: this machine, or this build of torch, has no such device.
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    gpu = found.type if found is not None and found.type in GPUS else "cpu"
    device = torch.device(gpu if name == "auto" else name)
    exists = device.type == gpu and (device.index or 0) < torch.accelerator.device_count()
    if device.type != "cpu" and not exists:
        raise ValueError(f"device={name}: there is none here; expected auto, cpu or {gpu}")
    return device


@dataclass(eq=False)
class Interpolator:
    """A baseline: 'bilinear', or 'bicubic' as in MATLAB's imresize.

    Args:
        name: which one.
        scale: upscaling factor.
    """

    name: str
    scale: int
    tile = None

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
        tile: side of a tile in LR pixels; None takes images of any size whole. A network that takes
            no larger images than its `max_tile` sets it.
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
        limit: int | None = getattr(self.generator, "max_tile", None)
        if limit is not None and (self.tile is None or self.tile > limit):
            self.tile, self.overlap = limit, min(self.overlap, limit // 2)
            log.info("%s takes images of %d pixels: tile=%d", self.name, limit, limit)
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
        """Upscale; the result is on the device of `lr`, clamped to [0, 1].

        Raises:
            ValueError: the network gave NaN or infinity.
        """
        images = lr.to(self.device)
        sizes = {"scale": self.scale, "tile": self.tile, "overlap": self.overlap}
        sr = upscale_batch(self._whole, images, **sizes)  # type: ignore[arg-type]
        if not sr.isfinite().all():
            raise ValueError(
                f"{self.name}: its result is not finite, so no image can be made of it"
            )
        return sr.clamp(0, 1).to(lr.device)

    def _whole(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        sr: Tensor = self.generator(images.contiguous(memory_format=torch.channels_last))
        return sr


Upscaler = Interpolator | NetworkUpscaler

"""Building blocks that several networks share."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Norm = Literal["group", "batch", "instance", "none"]
NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "group": lambda width: nn.GroupNorm(min(32, width // 2), width),
    "batch": nn.BatchNorm2d,
    "instance": lambda width: nn.InstanceNorm2d(width, affine=True),
    "none": lambda _: nn.Identity(),
}


def make_norm(norm: Norm, width: int) -> nn.Module:
    """A normalisation layer by name.

    GroupNorm has 32 groups as in the original, fewer if a narrow layer would otherwise have groups
    of one channel.
    """
    return NORMS[norm](width)


def conv3(inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """3x3 convolution that keeps the size (or halves it with stride 2)."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias)


class SqueezeExcitation(nn.Module):
    """Channel attention: global mean, two 1x1 convolutions, sigmoid (Hu et al. 2018, eq. 2-4).

    Args:
        width: channels.
        ratio: reduction in between; at least 8 channels remain, because two or three behind a
            ReLU are often dead from the start.
    """

    def __init__(self, width: int, *, ratio: int = 8) -> None:
        super().__init__()
        hidden = max(width // ratio, 8)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Scale each channel by its gate."""
        return x * self.gate(x)


class SpatialAttention(nn.Module):
    """Pixel attention over the channels' mean and maximum (CBAM, Woo et al. 2018, eq. 5)."""

    def __init__(self, *, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Scale each pixel by its gate."""
        statistics = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(statistics))


class SubPixelUpsample(nn.Sequential):
    """Convolution to s^2 times the channels, then PixelShuffle (Shi et al. 2016).

    Args:
        inputs: channels in.
        outputs: channels out.
        scale: factor s.
    """

    def __init__(self, inputs: int, outputs: int, scale: int) -> None:
        super().__init__()
        self.conv = conv3(inputs, outputs * scale**2)
        self.shuffle = nn.PixelShuffle(scale)


@torch.no_grad()
def icnr_(conv: nn.Conv2d, scale: int) -> None:
    """Start the s x s pixels of a sub-pixel convolution equal (ICNR, Aitken et al. 2017, sec. 3).

    PixelShuffle's output then equals the nearest-neighbour enlargement of one convolution's.
    """
    for parameter in conv.parameters():
        parameter.copy_(parameter[:: scale**2].repeat_interleave(scale**2, 0))


STEPS: dict[int, tuple[int, ...]] = {
    1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2), 16: (2, 2, 2, 2),
}  # fmt: skip


def upsampling_steps(scale: int) -> tuple[int, ...]:
    """The factors of a network's successive upsampling layers.

    Raises:
        ValueError: a scale that is not in `STEPS`.
    """
    if scale not in STEPS:
        raise ValueError(f"scale={scale}: expected one of {', '.join(map(str, STEPS))}")
    return STEPS[scale]


def reflect_to(x: Float[Tensor, "n c h w"], height: int, width: int) -> Float[Tensor, "n c ph pw"]:
    """Pad to a size by mirroring; if the image is too small for that, by repeating its border."""
    h, w = x.shape[-2:]
    mirrored = F.pad(x, (0, min(width - w, w - 1), 0, min(height - h, h - 1)), mode="reflect")
    h, w = mirrored.shape[-2:]
    return F.pad(mirrored, (0, width - w, 0, height - h), mode="replicate")


def pad_to_multiple(x: Float[Tensor, "n c h w"], multiple: int) -> Float[Tensor, "n c ph pw"]:
    """Repeat the last row and column until both sizes are multiples."""
    h, w = x.shape[-2:]
    return F.pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate")

"""ESRGAN's network: dense blocks inside residual blocks inside a residual trunk."""

import re
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.models.blocks import conv3, reflect_to, upsampling_steps
from srlit.types import Count, NonNegativeInt


def leaky() -> nn.Module:
    """LeakyReLU of slope 0.2, ESRGAN's only activation."""
    return nn.LeakyReLU(0.2, inplace=True)


class DenseBlock(nn.Module):
    """Five densely connected convolutions (Wang et al. 2018, fig. 4).

    Args:
        num_feat: channels in and out.
        num_grow_ch: channels that each of the first four adds.
        residual_scale: factor on the last one's output before the input is added.
    """

    def __init__(self, num_feat: int, num_grow_ch: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1 = conv3(num_feat, num_grow_ch)
        self.conv2 = conv3(num_feat + num_grow_ch, num_grow_ch)
        self.conv3 = conv3(num_feat + 2 * num_grow_ch, num_grow_ch)
        self.conv4 = conv3(num_feat + 3 * num_grow_ch, num_grow_ch)
        self.conv5 = conv3(num_feat + 4 * num_grow_ch, num_feat)
        self.activation = leaky()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            # Section 3.1: a smaller initialisation makes a deep network easier to train.
            nn.init.kaiming_normal_(conv.weight).data.mul_(0.1)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """X + residual_scale * the fifth convolution's output."""
        maps = [x]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            maps.append(self.activation(conv(torch.cat(maps, 1))))
        return x + self.residual_scale * self.conv5(torch.cat(maps, 1))


class RRDB(nn.Module):
    """Residual in residual dense block: three dense blocks, scaled, + input (the same figure)."""

    def __init__(self, num_feat: int, num_grow_ch: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.rdb1 = DenseBlock(num_feat, num_grow_ch, residual_scale)
        self.rdb2 = DenseBlock(num_feat, num_grow_ch, residual_scale)
        self.rdb3 = DenseBlock(num_feat, num_grow_ch, residual_scale)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """X + residual_scale * rdb3(rdb2(rdb1(x)))."""
        return x + self.residual_scale * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBTrunk(nn.Module):
    """The low-resolution part of ESRGAN's network: image to features of the same size.

    Args:
        inputs: channels of the image.
        num_feat: channels of the features.
        num_block: RRDBs.
        num_grow_ch: channels that each convolution of a dense block adds.
        residual: factor on every residual.
    """

    def __init__(
        self, inputs: int, num_feat: int, num_block: int, num_grow_ch: int, residual: float = 0.2
    ) -> None:
        super().__init__()
        self.conv_first = conv3(inputs, num_feat)
        self.body = nn.Sequential(
            *(RRDB(num_feat, num_grow_ch, residual) for _ in range(num_block))
        )
        self.conv_body = conv3(num_feat, num_feat)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f h w"]:
        """First + conv_body(body(first))."""
        first = self.conv_first(x)
        return first + self.conv_body(self.body(first))


class RRDBNet(RRDBTrunk):
    """ESRGAN's generator, numerically identical to the published one, under BasicSR's names.

    Each upsampling step is a nearest-neighbour enlargement by 2 and a convolution; there is no
    global residual, as the published weights have none. Real-ESRGAN's x2 and x1 networks first
    rearrange pixels into channels, so the trunk works at a quarter of the output's size.

    Args:
        scale: upscaling factor: 1, 2, 3, 4 or 8.
        num_feat: channels.
        num_block: RRDBs.
        num_grow_ch: channels that each convolution of a dense block adds.
        unshuffle: factor of the initial pixel unshuffle; None: Real-ESRGAN's choice, 4 / scale at
            x1 and x2, else 1.

    Raises:
        ValueError: an unsupported scale.

    Source: X. Wang et al., "ESRGAN" (ECCVW 2018); X. Wang et al., "Real-ESRGAN" (ICCVW 2021),
    section 3.3 for the rearrangement.
    """

    def __init__(
        self,
        *,
        scale: Count,
        num_feat: Count = 64,
        num_block: NonNegativeInt = 23,
        num_grow_ch: Count = 32,
        unshuffle: Literal[1, 2, 4] | None = None,
    ) -> None:
        side = unshuffle or {1: 4, 2: 2}.get(scale, 1)
        super().__init__(3 * side**2, num_feat, num_block, num_grow_ch)
        self.scale = scale
        self.unshuffle = side
        self.steps = upsampling_steps(scale * side)
        for number in range(1, len(self.steps) + 1):
            self.add_module(f"conv_up{number}", conv3(num_feat, num_feat))
        self.conv_hr = conv3(num_feat, num_feat)
        self.conv_last = conv3(num_feat, 3)
        self.activation = leaky()

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and upsample; the result is not clamped."""
        h, w = lr.shape[-2:]
        height, width = (side + -side % self.unshuffle for side in (h, w))
        x = super().forward(F.pixel_unshuffle(reflect_to(lr, height, width), self.unshuffle))
        for number, factor in enumerate(self.steps, 1):
            enlarged = F.interpolate(x, scale_factor=factor, mode="nearest")
            x = self.activation(getattr(self, f"conv_up{number}")(enlarged))
        sr = self.conv_last(self.activation(self.conv_hr(x)))
        return sr[..., : h * self.scale, : w * self.scale]

    @staticmethod
    def own_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of any release of ESRGAN's network, renamed to the names used here."""
        return basicsr_names(weights)


# -- names --------------------------------------------------------------------------------------

# Names of BSRGAN, RealSR and the first ESRGAN to BasicSR's.
OLDER_NAMES = (
    (re.compile(r"RRDB_trunk\.(\d+)\.RDB(\d)\."), r"body.\1.rdb\2."),
    (re.compile(r"trunk_conv\."), "conv_body."),
    (re.compile(r"upconv(\d)\."), r"conv_up\1."),
    (re.compile(r"HRconv\."), "conv_hr."),
    (re.compile(r"model\.0\."), "conv_first."),
    (re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\."), r"body.\1.rdb\2.conv\3."),
    (re.compile(r"model\.1\.sub\.\d+\.(weight|bias)"), r"conv_body.\1"),
)
NUMBERED = re.compile(r"model\.(\d+)\.(weight|bias)")


def basicsr_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of any release of RRDBNet, renamed to BasicSR's names.

    The first ESRGAN numbered its layers (`model.3.weight`); those after the trunk are the
    upsampling steps and the last two convolutions. Other weights keep their names.
    """
    after = sorted({int(m[1]) for m in map(NUMBERED.fullmatch, weights) if m} - {0})
    steps = [f"conv_up{number}" for number in range(1, len(after) - 1)]
    ends = ["conv_hr", "conv_last"] if len(after) > 1 else []
    numbered = dict(zip(after, [*steps, *ends], strict=False))
    return {_basicsr_name(name, numbered): value for name, value in weights.items()}


def _basicsr_name(name: str, numbered: Mapping[int, str]) -> str:
    for older, newer in OLDER_NAMES:
        if older.match(name):
            return older.sub(newer, name)
    if (match := NUMBERED.fullmatch(name)) and int(match[1]) in numbered:
        return f"{numbered[int(match[1])]}.{match[2]}"
    return name

"""The U-Net generator of experiment A: SE, spatial attention, PixelShuffle, global residual."""

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.models import blocks
from srlit.models.blocks import Norm, SpatialAttention, SqueezeExcitation, SubPixelUpsample, conv3
from srlit.ops.resize import bilinear
from srlit.types import Count, Fraction, NonNegativeInt

OutputActivation = Literal["none", "sigmoid", "tanh"]
OUTPUT_ACTIVATIONS: dict[OutputActivation, type[nn.Module]] = {
    "none": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def _activation() -> nn.Module:
    return nn.LeakyReLU(0.1, inplace=True)


def _conv_norm(inputs: int, outputs: int, norm: Norm, *, stride: int = 1) -> list[nn.Module]:
    """3x3 convolution without bias, and its normalisation."""
    return [conv3(inputs, outputs, stride=stride, bias=False), blocks.make_norm(norm, outputs)]


def _attention(width: int, ratio: int) -> list[nn.Module]:
    return [SqueezeExcitation(width, ratio=ratio), SpatialAttention()]


class AttentionBlock(nn.Module):
    """Head and tail block: conv, norm, act, SE, spatial attention, + input."""

    def __init__(self, width: int, norm: Norm, ratio: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_norm(width, width, norm), _activation(), *_attention(width, ratio)
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """X + body(x)."""
        return x + self.body(x)


class EncoderBlock(nn.Sequential):
    """Conv, norm, act, conv with stride 2, norm, act, SE: half the size."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, ratio: int) -> None:
        super().__init__(
            *_conv_norm(inputs, outputs, norm),
            _activation(),
            *_conv_norm(outputs, outputs, norm, stride=2),
            _activation(),
            SqueezeExcitation(outputs, ratio=ratio),
        )


class BottleneckBlock(nn.Module):
    """Residual block, then act, SE and spatial attention on the sum."""

    def __init__(self, width: int, norm: Norm, ratio: int, dropout: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_conv_norm(width, width, norm),
            _activation(),
            nn.Dropout2d(dropout),
            *_conv_norm(width, width, norm),
        )
        self.attend = nn.Sequential(_activation(), *_attention(width, ratio))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """attend(x + residual(x))."""
        return self.attend(x + self.residual(x))


class DecoderBlock(nn.Module):
    """Sub-pixel upsampling by 2, concatenated skip, two convolutions."""

    def __init__(self, inputs: int, skip: int, outputs: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.up = nn.Sequential(SubPixelUpsample(inputs, outputs, 2), _activation())
        self.fuse = nn.Sequential(
            *_conv_norm(outputs + skip, outputs, norm),
            _activation(),
            nn.Dropout2d(dropout),
            *_conv_norm(outputs, outputs, norm),
            _activation(),
        )

    def forward(
        self, x: Float[Tensor, "n c h w"], skip: Float[Tensor, "n d dh dw"]
    ) -> Float[Tensor, "n e dh dw"]:
        """Upsample `x` and fuse it with `skip`."""
        return self.fuse(torch.cat([self.up(x), skip], 1))


class UNet(nn.Module):
    """U-Net that works at low resolution and ends in PixelShuffle plus the interpolated input.

    Args:
        scale: upscaling factor.
        width: channels of head, tail and the first level; levels have width, 2 and 4 width.
        head_blocks: attention blocks before the encoder.
        bottleneck_blocks: residual blocks at an eighth of the size.
        tail_blocks: attention blocks after the decoder.
        norm: 'group' in the original.
        dropout: probability of dropping a channel in bottleneck and decoder.
        se_ratio: reduction of squeeze-and-excitation.
        output_activation: images in [0, 1] need none.

    Source: experiment A, whose numbers are the defaults; the original worked in [-1, 1] and
    ended in tanh.
    """

    def __init__(
        self,
        *,
        scale: Count,
        width: Count = 64,
        head_blocks: NonNegativeInt = 4,
        bottleneck_blocks: NonNegativeInt = 5,
        tail_blocks: NonNegativeInt = 2,
        norm: Norm = "group",
        dropout: Fraction = 0.05,
        se_ratio: Count = 8,
        output_activation: OutputActivation = "none",
    ) -> None:
        super().__init__()
        self.scale = scale
        self.stem = nn.Sequential(conv3(3, width), _activation())
        self.head = nn.Sequential(
            *(AttentionBlock(width, norm, se_ratio) for _ in range(head_blocks)),
            conv3(width, width),
        )
        self.head_activation = _activation()
        widths = (width, width, 2 * width, 4 * width)
        self.encoder = nn.ModuleList(
            EncoderBlock(inputs, outputs, norm, se_ratio) for inputs, outputs in pairwise(widths)
        )
        blocks = range(bottleneck_blocks)
        self.bottleneck = nn.Sequential(
            *(BottleneckBlock(widths[-1], norm, se_ratio, dropout) for _ in blocks)
        )
        self.decoder = nn.ModuleList(
            DecoderBlock(inputs, outputs, outputs, norm, dropout)
            for outputs, inputs in reversed([*pairwise(widths)])
        )
        self.tail = nn.Sequential(
            *(AttentionBlock(width, norm, se_ratio) for _ in range(tail_blocks)),
            SubPixelUpsample(width, 3, scale),
        )
        self.output_activation = OUTPUT_ACTIVATIONS[output_activation]()

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and upsample; the result is not clamped."""
        h, w = lr.shape[-2:]
        x = self.stem(blocks.pad_to_multiple(lr, 2 ** len(self.encoder)))
        x = self.head_activation(self.head(x) + x)
        skips = []
        for encode in self.encoder:
            skips.append(x)
            x = encode(x)
        x = self.bottleneck(x)
        for decode in self.decoder:
            x = decode(x, skips.pop())
        residual = self.tail(x)[..., : h * self.scale, : w * self.scale]
        return self.output_activation(residual + bilinear(lr, self.scale))

"""EDSR: a plain residual network at low resolution, without normalisation."""

from jaxtyping import Float
from torch import Tensor, nn

from srlit.models.blocks import SubPixelUpsample, conv3
from srlit.ops.resize import bilinear
from srlit.types import Count, NonNegative, NonNegativeInt


class ResidualBlock(nn.Module):
    """Conv, ReLU, conv, scaled, + input (Lim et al. 2017, fig. 2c)."""

    def __init__(self, width: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.body = nn.Sequential(conv3(width, width), nn.ReLU(inplace=True), conv3(width, width))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """X + residual_scale * body(x)."""
        return x + self.residual_scale * self.body(x)


class EDSR(nn.Module):
    """Enhanced deep residual network with one sub-pixel step and a global residual.

    Args:
        scale: upscaling factor.
        width: channels.
        blocks: residual blocks.
        residual_scale: factor on each block's output; 0.1 for the paper's widest network.

    Source: B. Lim et al., "Enhanced deep residual networks for single image super-resolution"
    (CVPRW 2017). Here the interpolated input is added, as in srlit's other generators; the last
    convolution starts at zero, so training starts from plain interpolation.
    """

    def __init__(
        self,
        *,
        scale: Count,
        width: Count = 64,
        blocks: NonNegativeInt = 16,
        residual_scale: NonNegative = 1.0,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.stem = conv3(3, width)
        self.body = nn.Sequential(
            *(ResidualBlock(width, residual_scale) for _ in range(blocks)), conv3(width, width)
        )
        self.upsample = SubPixelUpsample(width, 3, scale)
        for parameter in self.upsample.parameters():
            nn.init.zeros_(parameter)

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and upsample; the result is not clamped."""
        features = self.stem(lr)
        residual = self.upsample(self.body(features) + features)
        return residual + bilinear(lr, self.scale)

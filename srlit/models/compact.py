"""Real-ESRGAN's compact network: plain convolutions at low resolution."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.models.blocks import conv3
from srlit.types import Count, NonNegativeInt


class Compact(nn.Module):
    """SRVGGNetCompact, numerically identical, with the same parameter names.

    Convolutions with PReLU, one sub-pixel layer, and the input enlarged by nearest neighbour added
    (not by bilinear interpolation as elsewhere in srlit: the published weights expect this).

    Args:
        scale: upscaling factor.
        num_feat: channels.
        num_conv: convolutions between the first and the last.

    Source: X. Wang et al., Real-ESRGAN, "realesr-general-x4v3" and "realesr-animevideov3" (2022).
    """

    def __init__(
        self, *, scale: Count, num_feat: Count = 64, num_conv: NonNegativeInt = 16
    ) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [conv3(3, num_feat), nn.PReLU(num_feat)]
        for _ in range(num_conv):
            layers += [conv3(num_feat, num_feat), nn.PReLU(num_feat)]
        self.body = nn.Sequential(*layers, conv3(num_feat, 3 * scale**2))

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and upsample; the result is not clamped."""
        nearest = F.interpolate(lr, scale_factor=self.scale, mode="nearest")
        return F.pixel_shuffle(self.body(lr), self.scale) + nearest

"""Real-ESRGAN's U-Net discriminator with spectral normalisation."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from srlit.models.blocks import conv3, pad_to_multiple
from srlit.ops.resize import bilinear
from srlit.types import Count


class UNetSN(nn.Module):
    """A U-Net that gives a logit for each pixel.

    Args:
        width: channels at full size; levels have 2, 4 and 8 times as many.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.3 and fig. 6; T. Miyato et al.
    (ICLR 2018) for spectral normalisation.
    """

    def __init__(self, *, width: Count = 64) -> None:
        super().__init__()
        self.stem = conv3(3, width)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(width * 2**k, width * 2 ** (k + 1), 4, 2, 1, bias=False))
            for k in range(3)
        )
        self.up = nn.ModuleList(
            spectral_norm(conv3(width * 2 ** (k + 1), width * 2**k, bias=False)) for k in (2, 1, 0)
        )
        self.last = nn.Sequential(
            spectral_norm(conv3(width, width, bias=False)),
            nn.LeakyReLU(0.2),
            spectral_norm(conv3(width, width, bias=False)),
            nn.LeakyReLU(0.2),
            conv3(width, 1),
        )

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits per pixel, high for real; images of any size."""
        h, w = image.shape[-2:]
        x = F.leaky_relu(self.stem(pad_to_multiple(image, 2 ** len(self.down))), 0.2)
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.leaky_relu(down(x), 0.2)
        for up in self.up:
            x = F.leaky_relu(up(bilinear(x, 2)), 0.2) + skips.pop()
        logits: Tensor = self.last(x)
        return logits[..., :h, :w]

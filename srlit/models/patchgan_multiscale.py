"""Several PatchGANs at different image scales (pix2pixHD)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.models.patchgan import PatchGAN
from srlit.types import Count


class MultiScalePatchGAN(nn.Module):
    """PatchGANs, each on the image at half the size of the previous one's.

    Every scale weighs the same: the logits of coarser ones are repeated to the finest one's size,
    so that a criterion's mean is about the mean over the scales.

    Args:
        scales: how many.
        width: channels of the first level of each.
        layers: levels of each with stride 2.

    Source: T.-C. Wang et al., pix2pixHD (CVPR 2018), section 3.2.
    """

    def __init__(self, *, scales: Count = 2, width: Count = 64, layers: Count = 3) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchGAN(width=width, layers=layers) for _ in range(scales))

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n scales lh lw"]:
        """Logits per patch and scale, high for real.

        Raises:
            ValueError: the image is too small for the coarsest scale.
        """
        logits: list[Tensor] = []
        for patchgan in self.scales:
            logits.append(patchgan(image))
            image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
        size = logits[0].shape[-2:]
        return torch.cat([F.interpolate(part, size=size, mode="nearest") for part in logits], 1)

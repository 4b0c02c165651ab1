"""Discriminators: image to logits."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from srlit.models.blocks import conv3, make_norm, pad_to_multiple
from srlit.ops.resize import bilinear


class PatchGAN(nn.Sequential):
    """Fully convolutional discriminator that judges overlapping patches.

    4x4 convolutions without bias: `width` times 1, 2, 4, ... with stride 2, then one more level
    and the logits with stride 1; LeakyReLU 0.2; spectral normalisation on all but the first;
    weights drawn from N(0, 0.02). Any input from about 2^layers * 3 pixels on.

    Args:
        width: channels of the first level.
        layers: levels with stride 2; 3 gives a receptive field of 70 pixels.

    Source: P. Isola et al., "Image-to-image translation with conditional adversarial networks"
    (CVPR 2017); T. Miyato et al. (ICLR 2018) for spectral normalisation. Numbers: experiment A.
    """

    def __init__(self, *, width: int = 64, layers: int = 3) -> None:
        widths = [width * 2**level for level in range(layers + 1)]
        strides = [2] * (layers - 1) + [1]
        modules: list[nn.Module] = [self._conv(3, width, 2), nn.LeakyReLU(0.2, inplace=True)]
        for inputs, outputs, stride in zip(widths, widths[1:], strides, strict=False):
            modules += [
                spectral_norm(self._conv(inputs, outputs, stride)),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        modules.append(spectral_norm(self._conv(widths[-1], 1, 1)))
        super().__init__(*modules)

    @staticmethod
    def _conv(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
        conv = nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False)
        nn.init.normal_(conv.weight, std=0.02)
        return conv

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 lh lw"]:
        """Logits a patch: high for real.

        Raises:
            ValueError: the image is too small to give one logit.
        """
        if min(image.shape[-2:]) < self.min_size:
            h, w = image.shape[-2:]
            msg = (
                f"PatchGAN got images of {h}x{w}: expected at least "
                f"{self.min_size}x{self.min_size}; enlarge data.patch_size"
            )
            raise ValueError(msg)
        logits: Tensor = super().forward(image)  # type: ignore[no-untyped-call]
        return logits

    @property
    def min_size(self) -> int:
        """Smallest side that still gives one logit."""
        size = 1
        for conv in reversed([m for m in self if isinstance(m, nn.Conv2d)]):
            size = (size - 1) * conv.stride[0] + 4 - 2
        return max(size, 1)


class MultiScalePatchGAN(nn.Module):
    """Several PatchGANs, each of which sees the image at half the size of the one before.

    Every scale weighs the same: the logits of coarser ones are repeated to the finest one's size,
    so that a criterion's mean is about the mean over the scales.

    Args:
        scales: how many, >= 1.
        width: channels of the first level of each.
        layers: levels of each with stride 2.

    Raises:
        ValueError: no scale.

    Source: T.-C. Wang et al., pix2pixHD (CVPR 2018), section 3.2.
    """

    def __init__(self, *, scales: int = 2, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        if scales < 1:
            msg = f"discriminator.scales={scales}: expected at least 1"
            raise ValueError(msg)
        self.judges = nn.ModuleList(PatchGAN(width=width, layers=layers) for _ in range(scales))

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n scales lh lw"]:
        """Logits a patch and scale: high for real.

        Raises:
            ValueError: the image is too small for the coarsest scale.
        """
        logits: list[Tensor] = []
        for judge in self.judges:
            logits.append(judge(image))
            image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
        size = logits[0].shape[-2:]
        return torch.cat([F.interpolate(part, size=size, mode="nearest") for part in logits], 1)


class UNetSN(nn.Module):
    """Real-ESRGAN's discriminator: a U-Net with a logit for each pixel.

    Args:
        width: channels at full size; levels have 2, 4 and 8 times as many.

    Source: X. Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3.3 and fig. 6; T. Miyato et al.
    (ICLR 2018) for spectral normalisation.
    """

    def __init__(self, *, width: int = 64) -> None:
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
        """Logits a pixel: high for real; images of any size."""
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


class VGGStyle(nn.Module):
    """SRGAN's discriminator: one logit an image, from convolutions in VGG's style.

    3x3 convolutions `width` times 1, 1, 2, 2, 4, 4, 8, 8, every second one with stride 2, with a
    norm from the second on; LeakyReLU 0.2; two dense layers. What reaches them is averaged to 6x6,
    which the paper's crops of 96 pixels give by themselves: so any size is judged.

    Args:
        width: channels of the first level.
        hidden: width of the first dense layer.
        norm: 'batch' (the paper's), 'group', 'instance' or 'none'.

    Source: C. Ledig et al., "Photo-realistic single image super-resolution using a generative
    adversarial network" (CVPR 2017), fig. 4.
    """

    def __init__(self, *, width: int = 64, hidden: int = 1024, norm: str = "batch") -> None:
        super().__init__()
        widths = [width * 2 ** (level // 2) for level in range(8)]
        modules: list[nn.Module] = [conv3(3, width), nn.LeakyReLU(0.2, inplace=True)]
        for level, (inputs, outputs) in enumerate(pairwise(widths), 1):
            modules += [
                conv3(inputs, outputs, stride=1 + level % 2, bias=norm == "none"),
                make_norm(norm, outputs),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.body = nn.Sequential(*modules, nn.AdaptiveAvgPool2d(6))
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * 6**2, hidden),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(hidden, 1),
        )

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1"]:
        """A logit an image: high for real; images of any size."""
        logits: Tensor = self.head(self.body(image))
        return logits

"""Discriminators: image to logits."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


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
        if min(image.shape[-2:]) < self.least_size:
            h, w = image.shape[-2:]
            msg = (
                f"PatchGAN got images of {h}x{w}: expected at least "
                f"{self.least_size}x{self.least_size}; enlarge data.patch_size"
            )
            raise ValueError(msg)
        logits: Tensor = super().forward(image)  # type: ignore[no-untyped-call]
        return logits

    @property
    def least_size(self) -> int:
        """Smallest side that still gives one logit."""
        size = 1
        for conv in reversed([m for m in self if isinstance(m, nn.Conv2d)]):
            size = (size - 1) * conv.stride[0] + 4 - 2
        return max(size, 1)

"""The PatchGAN discriminator (pix2pix) with spectral normalisation."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from srlit.types import Count


def _conv4(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False)
    nn.init.normal_(conv.weight, std=0.02)
    return conv


class PatchGAN(nn.Sequential):
    """Fully convolutional discriminator: a logit for each of many overlapping patches.

    4x4 convolutions without bias: `width` times 1, 2, 4, ... with stride 2, then one more level
    and the logits with stride 1; LeakyReLU 0.2; spectral normalisation on all but the first;
    weights drawn from N(0, 0.02). Images have at least about 2^layers * 3 pixels per side.

    Args:
        width: channels of the first level.
        layers: levels with stride 2; 3 gives a receptive field of 70 pixels.

    Source: P. Isola et al., "Image-to-image translation with conditional adversarial networks"
    (CVPR 2017); T. Miyato et al. (ICLR 2018) for spectral normalisation. Numbers: experiment A.
    """

    def __init__(self, *, width: Count = 64, layers: Count = 3) -> None:
        widths = [width * 2**level for level in range(layers + 1)]
        strides = [2] * (layers - 1) + [1]
        activation = nn.LeakyReLU(0.2, inplace=True)
        modules: list[nn.Module] = [_conv4(3, width, 2), activation]
        for inputs, outputs, stride in zip(widths, widths[1:], strides, strict=False):
            modules += [spectral_norm(_conv4(inputs, outputs, stride)), activation]
        super().__init__(*modules, spectral_norm(_conv4(widths[-1], 1, 1)))

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 lh lw"]:
        """Logits per patch, high for real.

        Raises:
            ValueError: the image is too small to give one logit.
        """
        h, w = image.shape[-2:]
        if min(h, w) < self.min_size:
            raise ValueError(
                f"data.patch_size: PatchGAN got images of {h}x{w}, "
                f"expected at least {self.min_size}x{self.min_size}"
            )
        logits: Tensor = super().forward(image)  # type: ignore[no-untyped-call]
        return logits

    @property
    def min_size(self) -> int:
        """Smallest side that still gives one logit."""
        size = 1
        for conv in reversed([m for m in self if isinstance(m, nn.Conv2d)]):
            size = (size - 1) * conv.stride[0] + 4 - 2
        return max(size, 1)

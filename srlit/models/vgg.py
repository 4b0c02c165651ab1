"""SRGAN's discriminator, in VGG's style."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from srlit.models.blocks import Norm, conv3, make_norm
from srlit.types import Count


class VGGStyle(nn.Module):
    """One logit per image.

    3x3 convolutions with `width` times 1, 1, 2, 2, 4, 4, 8, 8 channels, every second one with
    stride 2, with a norm from the second on; LeakyReLU 0.2; two dense layers. Features are pooled
    to 6x6, the size that the paper's crops of 96 pixels give, so images may have any size.

    Args:
        width: channels of the first level.
        hidden: width of the first dense layer.
        norm: 'batch' in the paper.

    Source: C. Ledig et al., "Photo-realistic single image super-resolution using a generative
    adversarial network" (CVPR 2017), fig. 4.
    """

    def __init__(self, *, width: Count = 64, hidden: Count = 1024, norm: Norm = "batch") -> None:
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
        """Logits per image, high for real."""
        logits: Tensor = self.head(self.body(image))
        return logits

"""LPIPS on the shared backbones."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.perceptual.backbones import Backbone, Features, load_backbone

LPIPSNet = Literal["alex", "vgg", "squeeze"]
# Name in the literature -> (backbone, layers that LPIPS compares).
LPIPS_NETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "alex": ("alexnet", ("relu1", "relu2", "relu3", "relu4", "relu5")),
    "vgg": ("vgg16", ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
    "squeeze": ("squeezenet1_1", ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")),
}


class LPIPSDistance(nn.Module):
    """Learned perceptual distance (Zhang et al. 2018), version 0.1.

    The linear heads come with the lpips package, the features from the shared backbone.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        backbone: the features of that network.
    """

    def __init__(self, net: str, backbone: Backbone) -> None:
        import lpips

        super().__init__()
        with torch.device("meta"):
            model = lpips.LPIPS(pretrained=False, net=net, pnet_rand=True, verbose=False)
        heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
        state = torch.load(heads, map_location="cpu", weights_only=True)
        model.load_state_dict(state, strict=False, assign=True)
        self.net = net
        self.trained = backbone.pretrained
        self.backbone = backbone
        self.layers = LPIPS_NETS[net][1]
        self.scaling = lpips.ScalingLayer()
        self.heads: nn.ModuleList = model.lins
        self.eval().requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> "LPIPSDistance":  # noqa: ARG002 - nn.Module's
        """Stay in evaluation mode: the heads have dropout."""
        return self

    def forward(
        self, sr: Float[Tensor, "n 3 h w"], hr: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """Distance of each pair of images in [0, 1] in float32; 0 for equal ones."""
        with torch.autocast(sr.device.type, enabled=False):
            return self.between(self.features(sr.float()), self.features(hr.float()))

    def features(self, image: Float[Tensor, "n 3 h w"]) -> Features:
        """Features that `between` compares, of images in [0, 1], in the current precision."""
        scaled = self.scaling(2 * image - 1).contiguous(memory_format=torch.channels_last)
        return self.backbone.activations(scaled, self.layers)

    def between(self, sr: Features, hr: Features) -> Float[Tensor, " n"]:
        """Distance of each pair, given its features (eq. 1), in float32."""
        with torch.autocast(self.scaling.shift.device.type, enabled=False):
            parts = [
                head((unit(sr[layer]) - unit(hr[layer])).square()).mean((1, 2, 3))
                for layer, head in zip(self.layers, self.heads, strict=True)
            ]
        return torch.stack(parts).sum(0)


def unit(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Features of unit length at each position, in float32.

    The gradient is 0 where all features are 0, as in a dark corner; the lpips package's root of a
    sum of squares has the gradient NaN there.
    """
    x = x.float()
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10)


def load_lpips(
    net: str, directory: str | None = None, *, allow_untrained: bool = False
) -> LPIPSDistance:
    """The one LPIPS instance of this network in this process, on the shared backbone.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        directory: as in `load_backbone`.
        allow_untrained: as in `load_backbone`.

    Raises:
        ValueError: `net` is unknown.
        MissingWeightsError: the backbone's weights are missing or damaged.
    """
    if net not in LPIPS_NETS:
        raise ValueError(f"unknown LPIPS network {net!r}: expected one of {', '.join(LPIPS_NETS)}")
    backbone = load_backbone(LPIPS_NETS[net][0], directory, allow_untrained=allow_untrained)
    return _lpips(net, backbone)


@lru_cache(maxsize=8)
def _lpips(net: str, backbone: Backbone) -> LPIPSDistance:
    return LPIPSDistance(net, backbone)

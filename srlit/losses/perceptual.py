"""Losses between features of pretrained networks."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.types import Images, Scalar
from srlit.weights import load_backbone, load_lpips

DISTANCES = ("l1", "l2")


def relative_distance(
    sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"], distance: str
) -> Scalar:
    """Difference of features in units of the target's own mean magnitude, mean over samples.

    l1: mean |sr - hr| / mean |hr|; l2: mean (sr - hr)^2 / mean hr^2, means within a sample.
    """
    axes = (1, 2, 3)
    if distance == "l1":
        ratio = (sr - hr).abs().mean(axes) / hr.abs().mean(axes).clamp(min=1e-8)
    else:
        ratio = (sr - hr).square().mean(axes) / hr.square().mean(axes).clamp(min=1e-8)
    return ratio.mean()


class PerceptualLoss(nn.Module):
    """Weighted differences of a backbone's features (Johnson et al. 2016).

    Each layer's difference is relative to the target's mean activation there. So the same
    weights hold for every release of a network (Caffe's VGG19 works in 0-255 and its activations
    are two orders of magnitude above those of weights trained on normalised input).

    Args:
        net: backbone, one of `srlit.weights.NETS`.
        layers: layer name to weight.
        distance: 'l1' or 'l2'.
        weights_dir: folder of pretrained weights; None looks further.
        allow_untrained: take random features where no weights can be had.

    Raises:
        ValueError: an unknown layer or distance.
        MissingWeightsError: no weights.
    """

    def __init__(
        self,
        *,
        net: str,
        layers: Mapping[str, float],
        distance: str = "l1",
        weights_dir: str | None = None,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        backbone = load_backbone(net, weights_dir, allow_untrained=allow_untrained)
        unknown = sorted(set(layers) - set(backbone.layers))
        if unknown:
            msg = (
                f"perceptual loss: {net} has no layer {', '.join(unknown)}; "
                f"it has {', '.join(backbone.layers)}"
            )
            raise ValueError(msg)
        if distance not in DISTANCES:
            msg = f"perceptual loss: distance={distance!r}, expected one of {', '.join(DISTANCES)}"
            raise ValueError(msg)
        self.layers = dict(layers)
        self.distance = distance
        # In a tuple, so that the shared backbone is no submodule: no checkpoint shall hold it.
        self._shared = (backbone,)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Sum over layers of weight * relative distance, in float32; no graph through hr."""
        backbone = self._shared[0].to(sr.device)
        with torch.autocast(sr.device.type, enabled=False):
            found = backbone(sr.float(), self.layers)
            with torch.no_grad():
                target = backbone(hr.float(), self.layers)
            parts = [
                weight * relative_distance(found[name], target[name], self.distance)
                for name, weight in self.layers.items()
            ]
        return torch.stack(parts).sum()


class LPIPSLoss(nn.Module):
    """LPIPS as a loss; judge the result by another network's LPIPS.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        weights_dir: folder of pretrained weights; None looks further.
        allow_untrained: take random features where no weights can be had.
    """

    def __init__(
        self, *, net: str, weights_dir: str | None = None, allow_untrained: bool = False
    ) -> None:
        super().__init__()
        self._shared = (load_lpips(net, weights_dir, allow_untrained=allow_untrained),)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean distance over the batch."""
        distance: Tensor = self._shared[0].to(sr.device)(sr, hr)
        return distance.mean()

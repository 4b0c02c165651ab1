"""LPIPS as a loss."""

from typing import Any

import torch
from torch import nn

from srlit.ops.compute_precision import feature_precision
from srlit.perceptual.dists import DISTSDistance
from srlit.perceptual.lpips import LPIPSDistance, LPIPSNet, load_lpips
from srlit.types import Images, Scalar


class DistanceLoss(nn.Module):
    """A network's distance of restored images and targets, mean over the batch.

    Args:
        distance: shared with metrics; it is no submodule, so no checkpoint contains it.
    """

    def __init__(self, distance: LPIPSDistance | DISTSDistance) -> None:
        super().__init__()
        self._shared = (distance,)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over the batch; no graph through hr."""
        distance: Any = self._shared[0].to(sr.device)
        with feature_precision(sr.device):
            found = distance.features(sr.float())
            with torch.no_grad():
                target = distance.features(hr.float())
        return distance.between(found, target).mean()


class LPIPSLoss(DistanceLoss):
    """LPIPS as a loss (Zhang et al. 2018); measure the result by another network's LPIPS.

    Args:
        net: the backbone.
        weights_dir: folder of pretrained weights; None: the default search.
        allow_untrained: use random features if no weights are found.

    Raises:
        MissingWeightsError: no weights.
    """

    def __init__(
        self, *, net: LPIPSNet, weights_dir: str | None = None, allow_untrained: bool = False
    ) -> None:
        super().__init__(load_lpips(net, weights_dir, allow_untrained=allow_untrained))

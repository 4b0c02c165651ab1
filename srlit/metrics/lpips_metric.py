"""LPIPS as a metric."""

from srlit.metrics.registry import NetworkMetric, named
from srlit.perceptual.lpips import LPIPSNet, load_lpips

# Shortest side for which every layer of a network has an output.
MIN_SIDES = {"alex": 31, "squeeze": 17, "vgg": 16}


@named("lpips_<net:alex|vgg|squeeze>")
class LPIPS(NetworkMetric):
    """Learned perceptual distance, version 0.1 (Zhang et al. 2018, eq. 1), from 0.

    Args:
        net: the backbone.
        weights_dir: folder of pretrained weights; None: the default search.
        allow_untrained: use random features if no weights are found.
    """

    def __init__(
        self, *, net: LPIPSNet, weights_dir: str | None = None, allow_untrained: bool = False
    ) -> None:
        super().__init__(load_lpips(net, weights_dir, allow_untrained=allow_untrained))
        self.min_size = MIN_SIDES[net]

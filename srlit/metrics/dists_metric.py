"""DISTS as a metric."""

from srlit.metrics.registry import NetworkMetric, named
from srlit.perceptual.dists import load_dists


@named("dists")
class DISTS(NetworkMetric):
    """1 - similarity of structure and texture on VGG16 (Ding et al. 2020), 0 to 2.

    Images are not resized.

    Args:
        weights_dir: folder of pretrained weights; None: the default search.
        allow_untrained: use random features if no weights are found.
    """

    def __init__(self, *, weights_dir: str | None = None, allow_untrained: bool = False) -> None:
        super().__init__(load_dists(weights_dir, allow_untrained=allow_untrained))

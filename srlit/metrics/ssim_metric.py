"""SSIM and MS-SSIM as metrics."""

from jaxtyping import Float
from torch import Tensor

from srlit.metrics.planes import Space, plane
from srlit.metrics.registry import Metric, PerImage, named
from srlit.ops.similarity import SCALE_WEIGHTS, WINDOW, ms_ssim, ssim
from srlit.types import Images, NonNegativeInt

Planes = Float[Tensor, "n c h w"]


@named("ssim_<space:rgb|y>_b<border>")
class SSIMMetric(Metric):
    """Structural similarity of valid 11x11 windows (Wang et al. 2004, eq. 13), -1 to 1.

    Args:
        space: mean over the three channels, or luma.
        border: pixels to ignore on each side.
    """

    higher_is_better = True
    ideal = 1.0
    scales = 1

    def __init__(self, *, space: Space, border: NonNegativeInt) -> None:
        self.space, self.border = space, border
        self.min_size = WINDOW * 2 ** (self.scales - 1) + 2 * border

    def view(self, image: Images) -> Float[Tensor, "n _ _ _"]:
        """RGB or luma without the border; in float32, as float64 filters are six times slower."""
        return plane(image, self.space, self.border).float()

    def compare(self, sr: Planes, hr: Planes) -> PerImage:
        """SSIM of each image."""
        return ssim(sr, hr)


@named("ms_ssim_<space:rgb|y>_b<border>")
class MSSSIMMetric(SSIMMetric):
    """Multi-scale SSIM over five scales (Wang et al. 2003, eq. 7), 0 to 1; arguments as above."""

    scales = len(SCALE_WEIGHTS)

    def compare(self, sr: Planes, hr: Planes) -> PerImage:
        """MS-SSIM of each image."""
        return ms_ssim(sr, hr)

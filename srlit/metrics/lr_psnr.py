"""PSNR between the input and the downscaled restoration."""

from srlit.metrics.planes import Space, double, plane
from srlit.metrics.psnr import psnr
from srlit.metrics.registry import Measure, Metric, Target, named
from srlit.ops.resize import imresize
from srlit.types import AnyImages, Images


def downscaled_to(sr: Images, lr: AnyImages) -> AnyImages:
    """A restored image at the size of its input, by MATLAB's antialiased bicubic.

    Args:
        sr: images on the 8-bit grid, in float64; rounding errors of float32 are removed first, as
            they would decide the rounding of values half-way between two levels.
        lr: image whose size to take.

    Returns:
        Images of lr's size in [0, 1], on the 8-bit grid.

    Raises:
        ValueError: sr is not a whole number of times as large as lr.
    """
    (h, w), (lh, lw) = sr.shape[-2:], lr.shape[-2:]
    if h % lh or w % lw or h // lh != w // lw:
        raise ValueError(f"lr_psnr: sr of {h}x{w} pixels is no whole multiple of lr of {lh}x{lw}")
    return imresize((sr * 255).round() / 255, lh / h)


@named("lr_psnr_<space:rgb|y>_b0")
class LRConsistencyPSNR(Metric):
    """PSNR in dB of the input and the downscaled restoration, infinite if equal.

    Source: A. Lugmayr et al., "SRFlow" (2020), LR-PSNR; also the NTIRE 2021 challenge on learning
    the super-resolution space, whose minimum is 45 dB.

    Args:
        space: mean over the three channels, or luma.
    """

    needs = ("lr",)
    higher_is_better = True
    ideal = float("inf")

    def __init__(self, *, space: Space) -> None:
        self.space = space

    def against(self, target: Target) -> Measure:
        """As in `Metric`."""
        assert target.lr is not None
        lr = target.lr
        expected = plane(lr, self.space, 0)
        return lambda sr: psnr(plane(downscaled_to(double(sr), lr).to(lr), self.space, 0), expected)

"""PSNR between the input and the downscaled restoration."""

from srlit.ops.resize import imresize
from srlit.types import AnyImages, Images


def shrunk_to(sr: Images, lr: AnyImages) -> AnyImages:
    """What MATLAB's antialiased bicubic makes of a restored image at the size of its input.

    Args:
        sr: images on the 8-bit grid, in float64; a last bit of float32 that they still carry is
            dropped, as it would turn a rounding where a new level lies half between two.
        lr: what gives the size.

    Returns:
        Images of lr's size in [0, 1], on the 8-bit grid.

    Raises:
        ValueError: sr is not a whole number of times as large as lr.
    """
    (h, w), (lh, lw) = sr.shape[-2:], lr.shape[-2:]
    if h % lh or w % lw or h // lh != w // lw:
        msg = f"lr_psnr: sr of {h}x{w} pixels is no whole multiple of lr of {lh}x{lw}"
        raise ValueError(msg)
    return imresize((sr * 255).round() / 255, lh / h)

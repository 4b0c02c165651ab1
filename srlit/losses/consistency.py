"""Losses of what restoring must not change: colours, and what the input shows."""

from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.filters import gaussian_blur
from srlit.ops.resize import shrink
from srlit.types import Images, Scalar


class ColourConsistency(nn.Module):
    """Mean squared difference of blurred images: colour and brightness, no texture.

    Source: Ignatov et al. 2017 (DPED), the colour loss, whose Gaussian of amplitude 0.053 =
    1 / (2 pi 3) has a variance of 3 pixels. At least 0, and 0 for equal images.

    Args:
        sigma: of the Gaussian, in HR pixels, > 0; the paper's is sqrt(3).

    Raises:
        ValueError: sigma is not above 0.
    """

    def __init__(self, *, sigma: float = 3**0.5) -> None:
        super().__init__()
        self.sigma = checked_sigma("colour", sigma)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean (G * sr - G * hr)^2."""
        return gaussian_blur(sr - hr, self.sigma).square().mean()


class LRConsistency(nn.Module):
    """Mean absolute difference of the input and the shrunk restoration, both blurred.

    What the input shows must be left when the restored image is degraded again. Of a blind
    degradation only the shrinking is known: the input has another blur, and noise and compression
    that no restoration should reproduce. All these change fine detail; a Gaussian over both sides
    leaves what is certain. With the default, noise of standard deviation s is s / (2 sqrt(pi)
    sigma) = 0.14 s after it. For sr = hr, on crops of BSD100, it leaves 1.7 levels of 255 instead
    of 7.0 under `fixed` and 3.7 instead of 18.6 under `blind`; a colour cast of 13 levels is 13.
    For a degradation that only shrinks (degradation=bicubic) nothing needs to be blurred: take
    sigma=0.2, whose taps beside the centre are below 1e-5.

    Shrinking is MATLAB's antialiased bicubic, without rounding. At least 0.

    Source: the back-projection of Irani and Peleg 1991, as a loss; the blur is srlit's.

    Args:
        sigma: of the Gaussian, in LR pixels, > 0.

    Raises:
        ValueError: sigma is not above 0.
    """

    needs = ("lr",)

    def __init__(self, *, sigma: float = 2.0) -> None:
        super().__init__()
        self.sigma = checked_sigma("lr_consistency", sigma)

    def forward(self, sr: Images, hr: Images, lr: Float[Tensor, "n 3 lh lw"]) -> Scalar:  # noqa: ARG002
        """Mean |G * shrink(sr) - G * lr|."""
        height, width = lr.shape[-2:]
        difference = shrink(sr, (height, width)) - lr
        return gaussian_blur(difference, self.sigma).abs().mean()


def checked_sigma(term: str, sigma: float) -> float:
    """A standard deviation that can be blurred with.

    Raises:
        ValueError: it is not above 0.
    """
    if not sigma > 0:
        msg = f"loss term {term}: sigma={sigma}: expected above 0, in pixels"
        raise ValueError(msg)
    return sigma

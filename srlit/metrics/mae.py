"""Mean absolute error, of images and of their low frequencies."""

from jaxtyping import Float
from torch import Tensor

from srlit.metrics.planes import double
from srlit.metrics.registry import Metric, PerImage, named
from srlit.ops.filters import gaussian_blur
from srlit.types import Count, Images


@named("mae")
class MAE(Metric):
    """Mean absolute error of RGB, in 0 to 1."""

    def view(self, image: Images) -> Images:
        """The image in float64."""
        return double(image)

    def compare(self, sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> PerImage:
        """Mean |sr - hr| of each image."""
        return (sr - hr).abs().mean((1, 2, 3))


@named("lowfreq_mae_s<sigma+>")
class LowFrequencyMAE(MAE):
    """Mean absolute error of blurred RGB: colour casts, not texture.

    Args:
        sigma: of the Gaussian, in HR pixels.
    """

    def __init__(self, *, sigma: Count) -> None:
        self.sigma = sigma

    def view(self, image: Images) -> Images:
        """The blurred image."""
        return gaussian_blur(image, sigma=self.sigma)

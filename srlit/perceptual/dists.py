"""DISTS: structure and texture as means and covariances of features.

Source: K. Ding et al., "Image quality assessment: unifying structure and texture similarity" (2020)
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.rng import constant
from srlit.perceptual.backbones import Backbone, MissingWeightsError, load_backbone

# c1 and c2 of the paper keep flat channels from dividing by 0.
C1 = C2 = 1e-6

STAGES = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")

FeatureMaps = Sequence[Float[Tensor, "n _ _ _"]]
ChannelWeights = Sequence[Float[Tensor, " _"]]


def l2_pool(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c oh ow"]:
    """L2 pooling to half the size: the root of a weighted mean of squares; it does not alias."""
    taps = constant(
        (0.25, 0.5, 0.25), x.device, x.dtype
    )  # a Hann window of 5 taps without its zeros
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    means = F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1])
    return (means + 1e-12).sqrt()


def dists(
    sr: FeatureMaps, hr: FeatureMaps, alpha: ChannelWeights, beta: ChannelWeights
) -> Float[Tensor, " n"]:
    """1 - sum over channels of alpha * texture + beta * structure, one value per pair.

    Args:
        sr: features of the restored images, one tensor per stage.
        hr: their targets' features.
        alpha: weights of the channels' texture (means), one tensor per stage.
        beta: weights of the channels' structure (covariance); all weights sum to 1.
    """
    similar = [
        texture(x, y) @ a + structure(x, y) @ b
        for x, y, a, b in zip(sr, hr, alpha, beta, strict=True)
    ]
    return 1 - torch.stack(similar).sum(0)


def texture(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """Similarity of each channel's means, at most 1."""
    mean_x, mean_y = x.mean((2, 3)), y.mean((2, 3))
    return (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)


def structure(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """Similarity of each channel's variation (covariance), at most 1."""
    x, y = (z - z.mean((2, 3), keepdim=True) for z in (x, y))
    variances = x.square().mean((2, 3)) + y.square().mean((2, 3))
    return (2 * (x * y).mean((2, 3)) + C2) / (variances + C2)


class DISTSDistance(nn.Module):
    """Deep image structure and texture similarity as a distance (Ding et al. 2020).

    In [0, 2], 0 for equal images. torchmetrics' own builds and downloads a VGG16 at each call; this
    one uses the shared backbone. As there, images keep their size; the authors' script shrinks
    larger ones to 256 pixels.

    Args:
        backbone: a VGG16.

    Raises:
        MissingWeightsError: the learned channel weights are missing.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        alpha, beta = dists_weights(dists_weights_file())
        self.register_buffer("alpha", alpha, persistent=False)
        self.register_buffer("beta", beta, persistent=False)
        self.trained = backbone.pretrained
        self.backbone = backbone
        self.ends = {backbone.layers[name] for name in STAGES}

    def features(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """The image and the features of five stages, with L2 instead of max pooling.

        Convolutions run in the current precision, pooling in float32; the result is float32.
        """
        x, found = self.backbone.normalised(image), [image]
        for index, module in enumerate(self.backbone.features[: max(self.ends) + 1]):
            if isinstance(module, nn.MaxPool2d):
                with torch.autocast(image.device.type, enabled=False):
                    x = l2_pool(x.float())
                continue
            x = module(x)
            if index in self.ends:
                found.append(x.float())
        return found

    def between(self, sr: FeatureMaps, hr: FeatureMaps) -> Float[Tensor, " n"]:
        """Distance of each pair, given its features, in float32."""
        channels = [stage.shape[1] for stage in sr]
        with torch.autocast(self.alpha.device.type, enabled=False):
            return dists(sr, hr, self.alpha.split(channels), self.beta.split(channels))


def dists_weights(path: Path) -> tuple[Tensor, Tensor]:
    """Alpha and beta as the authors learned them, from the torchmetrics package.

    Raises:
        MissingWeightsError: the file is missing.
    """
    if not path.is_file():
        raise MissingWeightsError(
            f"DISTS: {path}: no such file. It comes with the package torchmetrics (1.9 has it); "
            "install that version, or remove DISTS from the losses and metrics"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    total = state["alpha"].sum() + state["beta"].sum()
    alpha, beta = ((state[name] / total).detach().flatten() for name in ("alpha", "beta"))
    return alpha, beta


def dists_weights_file() -> Path:
    """The file with alpha and beta in torchmetrics."""
    import torchmetrics  # takes seconds

    return Path(torchmetrics.__file__).parent / "functional/image/dists_models/weights.pt"


def load_dists(directory: str | None = None, *, allow_untrained: bool = False) -> DISTSDistance:
    """The one DISTS instance of this process, on the one VGG16.

    Args:
        directory: as in `load_backbone`.
        allow_untrained: as in `load_backbone`.

    Raises:
        MissingWeightsError: the weights of VGG16 or of its channels are missing.
    """
    return _dists(load_backbone("vgg16", directory, allow_untrained=allow_untrained))


@lru_cache(maxsize=2)
def _dists(backbone: Backbone) -> DISTSDistance:
    return DISTSDistance(backbone)

"""DISTS: structure and texture as means and covariances of features."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.precision import feature_precision
from srlit.ops.rng import constant
from srlit.types import Images, Scalar
from srlit.weights import Backbone, MissingWeightsError, load_backbone

STAGES = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
# c1 and c2 of the paper: what keeps flat channels from dividing by 0.
C1 = C2 = 1e-6

FeatureMaps = Sequence[Float[Tensor, "n _ _ _"]]
ChannelWeights = Sequence[Float[Tensor, " _"]]


def l2_pool(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c oh ow"]:
    """Half the size by the root of a weighted mean of squares: no aliasing, unlike a maximum."""
    taps = constant((0.25, 0.5, 0.25), x.device, x.dtype)  # a Hann window of 5 without its zeros
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    means = F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1])
    return (means + 1e-12).sqrt()


def stage_features(backbone: Backbone, image: Images) -> list[Float[Tensor, "n _ _ _"]]:
    """The image itself and a VGG16's five stages, with L2 pooling in the place of the maxima.

    Convolutions run in what the device is fast at; pooling, and what is given, is float32.
    """
    ends = {backbone.layers[name] for name in STAGES}
    x, found = backbone.normalised(image), [image]
    for index, module in enumerate(backbone.features[: max(ends) + 1]):
        if isinstance(module, nn.MaxPool2d):
            x = l2_pool(x.float())
            continue
        with feature_precision(x.device):
            x = module(x)
        if index in ends:
            found.append(x.float())
    return found


def dists(
    sr: FeatureMaps, hr: FeatureMaps, alpha: ChannelWeights, beta: ChannelWeights
) -> Float[Tensor, " n"]:
    """1 - sum over channels of alpha * texture + beta * structure, of each pair.

    Args:
        sr: features of the restored images, a tensor a stage.
        hr: those of their targets.
        alpha: each channel's weight of texture (means), a tensor a stage.
        beta: each channel's weight of structure (covariance); all weights together sum to 1.
    """
    similar = [
        texture(x, y) @ a + structure(x, y) @ b
        for x, y, a, b in zip(sr, hr, alpha, beta, strict=True)
    ]
    return 1 - torch.stack(similar).sum(0)


def texture(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """How alike the means of a channel are, at most 1."""
    mean_x, mean_y = x.mean((2, 3)), y.mean((2, 3))
    return (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)


def structure(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """How a channel's values vary together, at most 1."""
    x, y = (z - z.mean((2, 3), keepdim=True) for z in (x, y))
    variances = x.square().mean((2, 3)) + y.square().mean((2, 3))
    return (2 * (x * y).mean((2, 3)) + C2) / (variances + C2)


def learned_weights(path: Path) -> tuple[Tensor, Tensor]:
    """Alpha and beta as the authors learned them, which the torchmetrics package brings along.

    Without them the distance is another one and must not be called DISTS.

    Raises:
        MissingWeightsError: the file is not there.
    """
    if not path.is_file():
        msg = (
            f"DISTS: its learned weights alpha and beta are missing: {path} does not exist. They "
            "come with the package torchmetrics (1.9 has them); install that version, or take "
            "another loss term"
        )
        raise MissingWeightsError(msg)
    state = torch.load(path, map_location="cpu", weights_only=True)
    total = state["alpha"].sum() + state["beta"].sum()
    alpha, beta = ((state[name] / total).detach().flatten() for name in ("alpha", "beta"))
    return alpha, beta


def weights_file() -> Path:
    """Where torchmetrics keeps alpha and beta."""
    import torchmetrics

    return Path(torchmetrics.__file__).parent / "functional/image/dists_models/weights.pt"


class DISTSLoss(nn.Module):
    """Deep image structure and texture similarity as a loss (Ding et al. 2020).

    torchmetrics has it too, but builds a VGG16 anew at each call and downloads its weights by
    itself; here the features are those of the shared backbone. As a measure it is taken of images
    shrunk to 256 pixels; a loss takes patches as they are. In 0 to 2, and 0 for equal images.

    Args:
        weights_dir: folder of pretrained weights (VGG16); None looks further.
        allow_untrained: take random features where no weights can be had.

    Raises:
        MissingWeightsError: no VGG16, or no learned weights of its channels.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, *, weights_dir: str | None = None, allow_untrained: bool = False) -> None:
        super().__init__()
        alpha, beta = learned_weights(weights_file())
        self.register_buffer("alpha", alpha, persistent=False)
        self.register_buffer("beta", beta, persistent=False)
        # In a tuple, so that the shared backbone is no submodule: no checkpoint shall hold it.
        self._shared = (load_backbone("vgg16", weights_dir, allow_untrained=allow_untrained),)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over the batch; no graph through hr."""
        backbone = self._shared[0].to(sr.device)
        found = stage_features(backbone, sr.float())
        with torch.no_grad():
            target = stage_features(backbone, hr.float())
        channels = [stage.shape[1] for stage in found]
        return dists(found, target, self.alpha.split(channels), self.beta.split(channels)).mean()

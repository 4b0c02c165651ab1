"""KID and FID of patches: distances between all restored images and all targets.

Published KID and FID use an Inception network that has to be downloaded; these use the networks of
LPIPS. Their values compare methods on the same photos, not with published ones.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from srlit.metrics.lpips_metric import MIN_SIDES
from srlit.metrics.precision import exactly, to_8_bit
from srlit.metrics.registry import Backbones, named, parse
from srlit.ops.precision import float64_device
from srlit.perceptual.backbones import Backbone, load_backbone
from srlit.perceptual.lpips import LPIPS_NETS
from srlit.types import Images

if TYPE_CHECKING:
    from torchmetrics.image.fid import FrechetInceptionDistance

log = logging.getLogger(__name__)

PatchFeatures = Float64[Tensor, "n patches d"]


def patches(image: Images, side: int) -> Float[Tensor, "m 3 side side"]:
    """Adjacent squares from the top left corner, those of an image in a row.

    Incomplete ones at the right and the bottom are dropped.
    """
    squares = image.unfold(2, side, side).unfold(3, side, side)  # (n, 3, rows, columns, side, side)
    return squares.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)


class PatchFeatureExtractor:
    """The mean over each patch of the features of LPIPS's last layer.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        side: of the patches, in HR pixels.
        backbones: where the network comes from.

    Raises:
        ValueError: patches too small for the network.
        MissingWeightsError: no weights.
    """

    def __init__(self, net: str, side: int, backbones: Backbones) -> None:
        if side < MIN_SIDES[net]:
            msg = f"metrics.set_names: patches of {side} pixels: {net} needs {MIN_SIDES[net]}"
            raise ValueError(msg)
        name, layers = LPIPS_NETS[net]
        self.layer = layers[-1]
        self.side = side
        self.backbone: Backbone = load_backbone(
            name, backbones.weights_dir, allow_untrained=backbones.allow_untrained
        )

    def __call__(self, image: Images) -> PatchFeatures:
        """Features of every patch, in float64."""
        backbone = self.backbone.to(image.device)
        maps = backbone(patches(image, self.side), [self.layer])[self.layer]
        means = maps.to(float64_device(image.device)).double().mean((2, 3))
        return means.view(len(image), -1, means.shape[1])


class SetMetric:
    """A few numbers about a set of images, accumulated batch by batch."""

    higher_is_better = False

    def update(self, sr: PatchFeatures, hr: PatchFeatures) -> None:
        """Add restored images and their targets, in the same order."""
        raise NotImplementedError

    def compute(self) -> dict[str, float]:
        """Suffix of the reported name, '' for the value itself, to a number."""
        raise NotImplementedError


@named("kid_<net:alex|vgg|squeeze>_p<side+>")
class KID(SetMetric):
    """Kernel distance of patches, and its standard error over images (suffix `_error`)."""

    def __init__(self) -> None:
        self._sr: list[Tensor] = []
        self._hr: list[Tensor] = []

    def update(self, sr: PatchFeatures, hr: PatchFeatures) -> None:
        """As in `SetMetric`."""
        self._sr += sr.unbind()
        self._hr += hr.unbind()

    def compute(self) -> dict[str, float]:
        """As in `SetMetric`."""
        value, error = kid(self._sr, self._hr)
        return {"": value, "_error": error}


def kid(sr: Sequence[Tensor], hr: Sequence[Tensor]) -> tuple[float, float]:
    """Squared maximum mean discrepancy of features, and its standard error.

    The kernel is (x . y / d + 1)^3. Only pairs of patches of different images count: those of one
    image, and those of an image and its restoration, are not independent and would bias the mean.
    So the estimate is unbiased, 0 for equal sets, and may be below 0. The error is the jackknife's
    over images.

    torchmetrics' KID takes the mean over random subsets, drawn by a global generator, counts an
    image's pair with its own restoration, and gives the spread of subsets that share images.

    Source: M. Binkowski et al., "Demystifying MMD GANs" (2018); A. Gretton et al., "A
    kernel two-sample test" (2012), lemma 6 (the U-statistic of paired samples).

    Args:
        sr: features of the restored images, (patches, d) each, float64.
        hr: those of their targets.

    Returns:
        The value and its standard error; NaN for fewer than 2 and 3 images.
    """
    if len(sr) < 2:
        return math.nan, math.nan
    sums = torch.stack(cross_sums(torch.cat([*sr]), torch.cat([*hr]), image_indices(sr)))
    counts = torch.tensor([len(one) for one in sr], dtype=torch.float64, device=sums.device)
    pairs = counts * (counts.sum() - counts)
    value = sums.sum() / pairs.sum()
    if len(sr) < 3:
        return float(value), math.nan
    without = (sums.sum() - 2 * sums) / (pairs.sum() - 2 * pairs)
    variance = (len(sr) - 1) * without.var(correction=0)
    return float(value), float(variance.sqrt())


def image_indices(images: Sequence[Tensor]) -> Int64[Tensor, " m"]:
    """The index of each patch's image."""
    counts = torch.tensor([len(one) for one in images])
    return torch.arange(len(images)).repeat_interleave(counts).to(images[0].device)


def cross_sums(
    sr: Float64[Tensor, "m d"], hr: Float64[Tensor, "m d"], owner: Int64[Tensor, " m"]
) -> list[Tensor]:
    """For each image: the sum of h(z, z') over its patches z and those z' of all other images.

    h((x, y), (x', y')) = k(x, x') + k(y, y') - k(x, y') - k(y, x').
    """
    sums = []
    for image in range(int(owner[-1]) + 1):
        own = owner == image
        others = ~own
        sums.append(
            kernel(sr[own], sr[others]).sum()
            + kernel(hr[own], hr[others]).sum()
            - kernel(sr[own], hr[others]).sum()
            - kernel(hr[own], sr[others]).sum()
        )
    return sums


def kernel(x: Float64[Tensor, "m d"], y: Float64[Tensor, "k d"]) -> Float64[Tensor, "m k"]:
    """(x . y / d + 1)^3."""
    return (x @ y.T / x.shape[1] + 1) ** 3


class _Identity(nn.Module):
    """Takes the place of the network in torchmetrics' FID, which is given features."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


@named("fid_<net:alex|vgg|squeeze>_p<side+>")
class FID(SetMetric):
    """Distance of Gaussians fitted to the features of patches, by torchmetrics, in float64.

    Source: M. Heusel et al., "GANs trained by a two time-scale update rule" (2017). Biased: it
    falls with the number of patches, and means little if there are no more patches than features.
    """

    def __init__(self) -> None:
        self._distance: "FrechetInceptionDistance | None" = None

    def update(self, sr: PatchFeatures, hr: PatchFeatures) -> None:
        """As in `SetMetric`."""
        from torchmetrics.image.fid import FrechetInceptionDistance  # takes seconds to import

        if self._distance is None:
            network = _Identity(sr.shape[2])
            self._distance = FrechetInceptionDistance(feature=network).to(sr.device)
        self._distance.update(hr.flatten(0, 1), real=True)
        self._distance.update(sr.flatten(0, 1), real=False)

    def compute(self) -> dict[str, float]:
        """As in `SetMetric`; NaN for fewer than two patches."""
        distance = self._distance
        if distance is None or int(distance.real_features_num_samples) < 2:
            return {"": math.nan}
        count, features = int(distance.real_features_num_samples), len(distance.real_features_sum)
        if count <= features:
            log.warning(
                "fid: %d patches for %d features: their covariance is singular; use more photos "
                "or smaller patches, or read kid",
                count,
                features,
            )
        return {"": float(distance.compute())}


class ExtractedMetric(NamedTuple):
    """A set metric and the features that it compares.

    Attributes:
        kind: makes an empty one.
        extract: image to features.
    """

    kind: type[SetMetric]
    extract: PatchFeatureExtractor


def set_metrics_named(names: Sequence[str], backbones: Backbones) -> dict[str, ExtractedMetric]:
    """The set metrics that names stand for, which share extractors of the same patches.

    Raises:
        ValueError: an unknown name, or patches too small for the network.
        MissingWeightsError: no weights.
    """
    extractors: dict[tuple[str, int], PatchFeatureExtractor] = {}
    found = {}
    for name in names:
        kind, parameters = parse("metrics.set_names", name, SetMetric)
        net, side = str(parameters["net"]), int(parameters["side"])
        if (net, side) not in extractors:
            extractors[net, side] = PatchFeatureExtractor(net, side, backbones)
        extract = extractors[net, side]
        reported = name if extract.backbone.pretrained else f"{name}_untrained"
        found[reported] = ExtractedMetric(kind, extract)
    return found


class SetMeasures:
    """Set metrics of any number of methods on the same targets, accumulated batch by batch.

    Args:
        metrics: from `set_metrics_named`.
    """

    def __init__(self, metrics: Mapping[str, ExtractedMetric]) -> None:
        self._metrics = dict(metrics)
        self._methods: dict[str, dict[str, SetMetric]] = {}

    @property
    def asked(self) -> bool:
        """Whether there are any."""
        return bool(self._metrics)

    def update(self, restored: Mapping[str, Images], hr: Images) -> None:
        """Add a batch.

        Args:
            restored: method to restored images; rounded to 8 bits first, as in an image file.
            hr: their targets in [0, 1].
        """
        with exactly(hr.device):
            extractors = {extract for _, extract in self._metrics.values()}
            expected = {extract: extract(hr.float()) for extract in extractors}
            for method, sr in restored.items():
                found = {extract: extract(to_8_bit(sr)) for extract in extractors}
                if method not in self._methods:
                    self._methods[method] = {n: kind() for n, (kind, _) in self._metrics.items()}
                for name, (_, extract) in self._metrics.items():
                    self._methods[method][name].update(found[extract], expected[extract])

    def compute(self) -> dict[str, dict[str, float]]:
        """Method to the name of each metric to its value; KID's error is `<name>_error`."""
        return {
            method: {
                name + suffix: value
                for name, metric in metrics.items()
                for suffix, value in metric.compute().items()
            }
            for method, metrics in self._methods.items()
        }

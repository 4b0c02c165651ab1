"""KID and FID of patches: distances between all restored images and all targets.

Published KID and FID use an Inception network that has to be downloaded; these use the networks of
LPIPS. Their values compare methods on the same photos, not with published ones.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from srlit.metrics.lpips_metric import MIN_SIDES
from srlit.metrics.planes import exactly, to_8_bit
from srlit.metrics.registry import named, parse
from srlit.ops.compute_precision import float64_device
from srlit.perceptual.backbones import load_backbone
from srlit.perceptual.lpips import LPIPS_NETS
from srlit.types import Images

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
        weights_dir: as in `load_backbone`.
        allow_untrained: as in `load_backbone`.
        net: 'alex', 'vgg' or 'squeeze'.
        side: of the patches, in HR pixels.

    Raises:
        ValueError: patches too small for the network.
        MissingWeightsError: no weights.
    """

    def __init__(self, weights_dir: str | None, allow_untrained: bool, net: str, side: int) -> None:
        if side < MIN_SIDES[net]:
            raise ValueError(f"metrics.set_names: p{side}: {net} needs {MIN_SIDES[net]} pixels")
        name, layers = LPIPS_NETS[net]
        self.layer, self.side = layers[-1], side
        self.backbone = load_backbone(name, weights_dir, allow_untrained=allow_untrained)

    def __call__(self, image: Images) -> PatchFeatures:
        """Features of every patch, in float64."""
        backbone = self.backbone.to(image.device)
        maps = backbone(patches(image, self.side), [self.layer])[self.layer]
        means = maps.to(float64_device(image.device)).double().mean((2, 3))
        return means.view(len(image), -1, means.shape[1])


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
    for own in F.one_hot(owner).bool().T:
        x, y, v, w = sr[own], hr[own], sr[~own], hr[~own]
        sums.append(kernel(x, v) + kernel(y, w) - kernel(x, w) - kernel(y, v))
    return sums


def kernel(x: Float64[Tensor, "m d"], y: Float64[Tensor, "k d"]) -> Float64[Tensor, ""]:
    """Sum of (x . y / d + 1)^3 over pairs."""
    return ((x @ y.T / x.shape[1] + 1) ** 3).sum()


class SetMetric:
    """A few numbers about a set of images."""

    higher_is_better = False

    @staticmethod
    def compute(sr: Sequence[Tensor], hr: Sequence[Tensor]) -> dict[str, float]:
        """Suffix of the reported name, '' for the value itself, to a number.

        Args:
            sr: features of the restored images, (patches, d) each, float64.
            hr: those of their targets, in the same order.
        """
        raise NotImplementedError


@named("kid_<net:alex|vgg|squeeze>_p<side+>")
class KID(SetMetric):
    """Kernel distance of patches, and its standard error over images (suffix `_error`)."""

    @staticmethod
    def compute(sr: Sequence[Tensor], hr: Sequence[Tensor]) -> dict[str, float]:
        """As in `SetMetric`."""
        value, error = kid(sr, hr)
        return {"": value, "_error": error}


@named("fid_<net:alex|vgg|squeeze>_p<side+>")
class FID(SetMetric):
    """Distance of Gaussians fitted to the features of patches, in float64.

    Source: M. Heusel et al., "GANs trained by a two time-scale update rule" (2017). Biased: it
    falls with the number of patches, and means little if there are no more patches than features.
    """

    @staticmethod
    def compute(sr: Sequence[Tensor], hr: Sequence[Tensor]) -> dict[str, float]:
        """As in `SetMetric`; NaN for fewer than two patches."""
        count, features = sum(map(len, sr)), sr[0].shape[1] if sr else 0
        if count < 2:
            return {"": math.nan}
        if count <= features:
            msg = "fid: %d patches for %d features: their covariance is singular; use more photos "
            log.warning(msg + "or smaller patches, or read kid", count, features)
        return {"": fid(torch.cat([*sr]), torch.cat([*hr]))}


def fid(sr: Float64[Tensor, "m d"], hr: Float64[Tensor, "m d"]) -> float:
    """|mean - mean'|^2 + tr(C + C' - 2 (C C')^(1/2)), with the covariances C (eq. 6)."""
    means = sr.mean(0) - hr.mean(0)
    own, target = sr.T.cov(), hr.T.cov()
    root = torch.linalg.eigvals(own @ target).sqrt().real.sum()
    return float(means @ means + own.trace() + target.trace() - 2 * root)


SetMetrics = Mapping[str, tuple[type[SetMetric], PatchFeatureExtractor]]


def set_metrics_named(
    names: Sequence[str], weights_dir: str | None, *, allow_untrained: bool
) -> SetMetrics:
    """The set metrics that names stand for, which share extractors of the same patches.

    Raises:
        ValueError: an unknown name, or patches too small for the network.
        MissingWeightsError: no weights.
    """
    extractor = cache(partial(PatchFeatureExtractor, weights_dir, allow_untrained))
    found = {}
    for name in names:
        kind, parameters = parse("metrics.set_names", name, SetMetric)
        extract = extractor(parameters["net"], parameters["side"])
        found[name if extract.backbone.pretrained else f"{name}_untrained"] = kind, extract
    return found


class SetMeasures:
    """Set metrics of any number of methods on the same targets, accumulated batch by batch.

    Args:
        metrics: from `set_metrics_named`.
    """

    def __init__(self, metrics: SetMetrics) -> None:
        self._metrics = metrics
        self.asked = bool(metrics)
        # Of each method and extractor: the features of restored images and of their targets.
        self._features: dict[str, dict[Any, tuple[list[Tensor], list[Tensor]]]] = {}

    def update(self, restored: Mapping[str, Images], hr: Images) -> None:
        """Add a batch.

        Args:
            restored: method to restored images; rounded to 8 bits first, as in an image file.
            hr: their targets in [0, 1].
        """
        with exactly(hr.device):
            for extract in {extract for _, extract in self._metrics.values()}:
                expected = extract(hr.float())
                for method, image in restored.items():
                    kept = self._features.setdefault(method, {})
                    sr, targets = kept.setdefault(extract, ([], []))
                    sr += extract(to_8_bit(image)).unbind()
                    targets += expected.unbind()

    def compute(self) -> dict[str, dict[str, float]]:
        """Method to the name of each metric to its value; KID's error is `<name>_error`."""
        return {
            method: {
                name + suffix: value
                for name, (kind, extract) in self._metrics.items()
                for suffix, value in kind.compute(*features[extract]).items()
            }
            for method, features in self._features.items()
        }

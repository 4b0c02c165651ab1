"""Distances of all restored images together from all targets together: KID and FID of patches.

Published KID and FID look through an Inception network that is downloaded; these look through the
networks that LPIPS has. Their numbers compare methods with each other on the same photos, and with
no number of a paper.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from srlit.metrics.precision import exactly, to_8_bit
from srlit.metrics.registry import LEAST_SIDES, Backbones
from srlit.ops.precision import float64_device
from srlit.perceptual.backbones import Backbone, load_backbone
from srlit.perceptual.lpips import LPIPS_NETS
from srlit.types import Images

if TYPE_CHECKING:
    from torchmetrics.image.fid import FrechetInceptionDistance

log = logging.getLogger(__name__)

PatchFeatures = Float64[Tensor, "n patches d"]


def patches(image: Images, side: int) -> Float[Tensor, "m 3 side side"]:
    """Squares beside each other from the top left corner on, those of an image in a row.

    What is left at the right and the bottom is not looked at.
    """
    squares = image.unfold(2, side, side).unfold(3, side, side)  # (n, 3, rows, columns, side, side)
    return squares.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)


class PatchView:
    """The mean over each patch of the last features that LPIPS looks at.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        side: of the patches, in HR pixels.
        backbones: where the network comes from.

    Raises:
        ValueError: patches too small for the network.
        MissingWeightsError: the network cannot be had.
    """

    def __init__(self, net: str, side: int, backbones: Backbones) -> None:
        if side < LEAST_SIDES[net]:
            msg = f"metrics.set_names: patches of {side} pixels: {net} needs {LEAST_SIDES[net]}"
            raise ValueError(msg)
        name, layers = LPIPS_NETS[net]
        self.layer = layers[-1]
        self.side = side
        self.backbone: Backbone = load_backbone(
            name, backbones.folder, allow_untrained=backbones.allow_untrained
        )

    def __call__(self, image: Images) -> PatchFeatures:
        """Features of every patch, in float64."""
        backbone = self.backbone.to(image.device)
        maps = backbone(patches(image, self.side), [self.layer])[self.layer]
        means = maps.to(float64_device(image.device)).double().mean((2, 3))
        return means.view(len(image), -1, means.shape[1])


@runtime_checkable
class SetMetric(Protocol):
    """A few numbers about a set of images, gathered batch by batch."""

    def update(self, sr: PatchFeatures, hr: PatchFeatures) -> None:
        """Add restored images and their targets, in the same order."""
        ...

    def compute(self) -> dict[str, float]:
        """What is to be reported: the suffix of its name, '' for the value itself, to a number."""
        ...


class KID:
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
    image, and those of an image and its restoration, are not independent, and would bias the mean.
    So the estimate is unbiased, 0 for equal sets, and may lie below 0. The error is the jackknife's
    over images.

    torchmetrics' KID takes the mean over random subsets, drawn by a global generator, counts an
    image's pair with its own restoration, and gives the spread of subsets that share images.

    Source: M. Binkowski et al., "Demystifying MMD GANs" (2018); A. Gretton et al., "A
    kernel two-sample test" (2012), lemma 6 (the U-statistic of paired samples).

    Args:
        sr: features of the restored images, (patches, d) each, float64.
        hr: those of their targets.

    Returns:
        The value and its standard error; NaN where there are fewer than 2 and 3 images.
    """
    if len(sr) < 2:
        return math.nan, math.nan
    sums = torch.stack(cross_sums(torch.cat([*sr]), torch.cat([*hr]), owners(sr)))
    counts = torch.tensor([len(one) for one in sr], dtype=torch.float64, device=sums.device)
    pairs = counts * (counts.sum() - counts)
    value = sums.sum() / pairs.sum()
    if len(sr) < 3:
        return float(value), math.nan
    without = (sums.sum() - 2 * sums) / (pairs.sum() - 2 * pairs)
    variance = (len(sr) - 1) * without.var(correction=0)
    return float(value), float(variance.sqrt())


def owners(images: Sequence[Tensor]) -> Int64[Tensor, " m"]:
    """Which image each patch is of."""
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


class _Given(nn.Module):
    """Takes the place of the network in torchmetrics' FID: features come ready."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


class FID:
    """Distance of the Gaussians that fit the features of patches, by torchmetrics, in float64.

    Source: M. Heusel et al., "GANs trained by a two time-scale update rule" (2017). Biased: it
    falls as patches become more. With no more patches than features it says little.
    """

    def __init__(self) -> None:
        self._distance: "FrechetInceptionDistance | None" = None

    def update(self, sr: PatchFeatures, hr: PatchFeatures) -> None:
        """As in `SetMetric`."""
        from torchmetrics.image.fid import FrechetInceptionDistance  # takes seconds to import

        if self._distance is None:
            given = _Given(sr.shape[2])
            self._distance = FrechetInceptionDistance(feature=given).to(sr.device)
        self._distance.update(hr.flatten(0, 1), real=True)
        self._distance.update(sr.flatten(0, 1), real=False)

    def compute(self) -> dict[str, float]:
        """As in `SetMetric`; NaN of fewer than two patches."""
        distance = self._distance
        if distance is None or int(distance.real_features_num_samples) < 2:
            return {"": math.nan}
        count, features = int(distance.real_features_num_samples), len(distance.real_features_sum)
        if count <= features:
            log.warning(
                "fid: %d patches for %d features: their covariance is singular; take more photos "
                "or smaller patches, or read kid",
                count,
                features,
            )
        return {"": float(distance.compute())}


KINDS: dict[str, Callable[[], SetMetric]] = {"kid": KID, "fid": FID}
PATTERN = re.compile(rf"({'|'.join(KINDS)})_({'|'.join(LPIPS_NETS)})_p([1-9]\d*)")


class Named(NamedTuple):
    """A set metric by its name.

    Attributes:
        kind: makes one that has seen nothing.
        view: what it looks at.
    """

    kind: Callable[[], SetMetric]
    view: PatchView


def set_metrics_named(names: Sequence[str], backbones: Backbones) -> dict[str, Named]:
    """The set metrics that names stand for; the same patches are looked at once for all of them.

    Raises:
        ValueError: a name that follows no protocol, or patches too small for the network.
        MissingWeightsError: a network cannot be had.
    """
    views: dict[tuple[str, str], PatchView] = {}
    found = {}
    for name in names:
        match = PATTERN.fullmatch(name)
        if match is None:
            written = f"<{'|'.join(KINDS)}>_<{'|'.join(LPIPS_NETS)}>_p<side of a patch>"
            msg = f"metrics.set_names has {name!r}: expected {written}"
            raise ValueError(msg)
        kind, net, side = match.groups()
        if (net, side) not in views:
            views[net, side] = PatchView(net, int(side), backbones)
        view = views[net, side]
        reported = name if view.backbone.pretrained else f"{name}_untrained"
        found[reported] = Named(KINDS[kind], view)
    return found


class SetMeasures:
    """Set metrics of any number of methods on the same targets, gathered batch by batch.

    Args:
        named: from `set_metrics_named`.
    """

    def __init__(self, named: Mapping[str, Named]) -> None:
        self._named = dict(named)
        self._methods: dict[str, dict[str, SetMetric]] = {}

    @property
    def asked(self) -> bool:
        """Whether there are any."""
        return bool(self._named)

    def update(self, restored: Mapping[str, Images], hr: Images) -> None:
        """Add a batch.

        Args:
            restored: method to restored images; rounded to 8 bits first, as a file would keep them.
            hr: their targets in [0, 1].
        """
        with exactly(hr.device):
            views = {named.view for named in self._named.values()}
            expected = {view: view(hr.float()) for view in views}
            for method, sr in restored.items():
                found = {view: view(to_8_bit(sr)) for view in views}
                metrics = self._methods.setdefault(method, self._new())
                for name, (_, view) in self._named.items():
                    metrics[name].update(found[view], expected[view])

    def _new(self) -> dict[str, SetMetric]:
        return {name: kind() for name, (kind, _) in self._named.items()}

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

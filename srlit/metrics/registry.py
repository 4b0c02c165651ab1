"""What the names of metrics stand for.

A metric is anything with the three members of `Metric`. Most compare two images by something that
can be computed of each alone, so that it is computed once of a target however many restorations of
it there are: `Pairwise`.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from srlit.metrics.lr_psnr import shrunk_to
from srlit.metrics.mae import mae
from srlit.metrics.niqe import LEAST_SIDE, niqe
from srlit.metrics.psnr import psnr
from srlit.ops.colour import rgb_to_y
from srlit.ops.filters import gaussian_blur
from srlit.ops.precision import float64_device
from srlit.ops.similarity import SCALE_WEIGHTS, WINDOW, ms_ssim, ssim
from srlit.perceptual.dists import DISTSDistance, load_dists
from srlit.perceptual.lpips import LPIPS_NETS, LPIPSDistance, load_lpips
from srlit.types import AnyImages, Images

PerImage = Float[Tensor, " n"]
Planes = Float[Tensor, "n _ _ _"]
Judge = Callable[[Images], PerImage]

# Shortest side of which a network's strides leave anything.
LEAST_SIDES = {"alex": 31, "squeeze": 17, "vgg": 16}


class Target(NamedTuple):
    """What restored images are held against.

    Attributes:
        hr: what they should be, in [0, 1].
        lr: what they were made of, in [0, 1]; None where it is not known.
    """

    hr: Images
    lr: AnyImages | None = None


@runtime_checkable
class Metric(Protocol):
    """One value an image.

    Attributes:
        needs: the fields of `Target` that it looks at.
        min_size: shortest side of an image that it can measure, in HR pixels.
        trained: whether the networks it looks through are; its name says so if not.
    """

    needs: tuple[str, ...]
    min_size: int
    trained: bool

    def against(self, target: Target) -> Judge:
        """What gives a batch of restored images, (n, 3, h, w) in [0, 1], a value each, (n,)."""
        ...


class Pairwise:
    """The distance or similarity of what two images are seen as.

    Args:
        view: what is compared of an image, such as its luma or its features.
        compare: (view of sr, view of hr) -> (n,).
        min_size: as in `Metric`.
        trained: as in `Metric`.
    """

    needs: tuple[str, ...] = ("hr",)

    def __init__(
        self,
        view: Callable[[Images], Any],
        compare: Callable[[Any, Any], Tensor],
        *,
        min_size: int = 1,
        trained: bool = True,
    ) -> None:
        self.view = view
        self.compare = compare
        self.min_size = min_size
        self.trained = trained

    def against(self, target: Target) -> Judge:
        """As in `Metric`; the target is looked at once, now."""
        expected = self.view(target.hr)
        return lambda sr: self.compare(self.view(sr), expected)


class LRConsistencyPSNR:
    """PSNR of lr and the restored image made small by MATLAB's antialiased bicubic.

    Source: A. Lugmayr et al., "SRFlow" (2020), LR-PSNR; also the NTIRE 2021 challenge on learning
    the super-resolution space, whose least value is 45 dB.

    Args:
        view: as in `Pairwise`.
    """

    needs: tuple[str, ...] = ("lr",)
    min_size = 1
    trained = True

    def __init__(self, view: Callable[[AnyImages], Tensor]) -> None:
        self.view = view

    def against(self, target: Target) -> Judge:
        """As in `Metric`."""
        assert target.lr is not None
        lr, expected = target.lr, self.view(target.lr)
        return lambda sr: psnr(self.view(shrunk_to(double(sr), lr).to(lr)), expected)


class NoReference:
    """What is said of a restored image alone.

    Args:
        function: (n, 3, h, w) -> (n,).
        min_size: as in `Metric`.
    """

    needs: tuple[str, ...] = ()
    trained = True

    def __init__(self, function: Judge, *, min_size: int) -> None:
        self.function = function
        self.min_size = min_size

    def against(self, target: Target) -> Judge:  # noqa: ARG002 - there is none
        """As in `Metric`."""
        return self.function


# -- views ----------------------------------------------------------------------------------------


def double(image: AnyImages) -> AnyImages:
    """In float64: a float32 cannot hold 40 dB to 1e-6; on the CPU where the device has none."""
    return image.to(float64_device(image.device)).double()


def plane(space: str, border: int, image: AnyImages) -> Planes:
    """RGB or luma in float64, without the border."""
    image = double(image)
    image = rgb_to_y(image) if space == "y" else image
    h, w = image.shape[-2:]
    return image[..., border : h - border, border : w - border]


def single(view: Callable[[Images], Planes], image: Images) -> Planes:
    """A view in float32, where that suffices: filters in float64 take six times as long."""
    return view(image).float()


def seen(distance: LPIPSDistance | DISTSDistance, image: Images) -> Any:  # noqa: ANN401 - features
    """What a network sees of images, on their device."""
    return distance.to(image.device).features(image)


# -- from names to metrics ------------------------------------------------------------------------


class Backbones(NamedTuple):
    """Where pretrained networks come from; as in `srlit.perceptual.backbones`.

    Attributes:
        folder: explicit folder; None looks further.
        allow_untrained: take random networks where none can be had.
    """

    folder: str | None = None
    allow_untrained: bool = False


def _spatial(_: Backbones, kind: str, space: str, border: str) -> Metric:
    view = partial(plane, space, int(border))
    if kind == "psnr":
        return Pairwise(view, psnr, min_size=1 + 2 * int(border))
    scales = len(SCALE_WEIGHTS) if kind == "ms_ssim" else 1
    return Pairwise(
        partial(single, view),
        ms_ssim if kind == "ms_ssim" else ssim,
        min_size=WINDOW * 2 ** (scales - 1) + 2 * int(border),
    )


def _mae(_: Backbones) -> Metric:
    return Pairwise(double, mae)


def _lowfreq_mae(_: Backbones, sigma: str) -> Metric:
    return Pairwise(partial(gaussian_blur, sigma=int(sigma)), mae)


def _lr_psnr(_: Backbones, space: str) -> Metric:
    return LRConsistencyPSNR(partial(plane, space, 0))


def _niqe(_: Backbones, border: str) -> Metric:
    view = partial(plane, "y", int(border))
    return NoReference(lambda sr: niqe(view(sr)), min_size=LEAST_SIDE + 2 * int(border))


def _lpips(backbones: Backbones, net: str) -> Metric:
    distance = load_lpips(net, backbones.folder, allow_untrained=backbones.allow_untrained)
    return Pairwise(
        partial(seen, distance),
        distance.between,
        min_size=LEAST_SIDES[net],
        trained=distance.trained,
    )


def _dists(backbones: Backbones) -> Metric:
    distance = load_dists(backbones.folder, allow_untrained=backbones.allow_untrained)
    return Pairwise(partial(seen, distance), distance.between, trained=distance.trained)


# How names are written for people, the pattern of it, and what makes the metric of its parts.
PROTOCOLS: tuple[tuple[str, str, Callable[..., Metric]], ...] = (
    ("<psnr|ssim|ms_ssim>_<rgb|y>_b<border>", r"(psnr|ssim|ms_ssim)_(rgb|y)_b(\d+)", _spatial),
    ("lr_psnr_<rgb|y>_b0", r"lr_psnr_(rgb|y)_b0", _lr_psnr),
    ("mae", "mae", _mae),
    ("lowfreq_mae_s<sigma>", r"lowfreq_mae_s([1-9]\d*)", _lowfreq_mae),
    (f"lpips_<{'|'.join(LPIPS_NETS)}>", f"lpips_({'|'.join(LPIPS_NETS)})", _lpips),
    ("dists", "dists", _dists),
    ("niqe_y_b<border>", r"niqe_y_b(\d+)", _niqe),
)


def metric_named(name: str, backbones: Backbones) -> Metric:
    """The metric that a name stands for.

    Raises:
        ValueError: it follows no protocol.
        MissingWeightsError: it needs a network whose weights cannot be had.
    """
    for _, pattern, make in PROTOCOLS:
        if match := re.fullmatch(pattern, name):
            return make(backbones, *match.groups())
    expected = ", ".join(written for written, _, _ in PROTOCOLS)
    msg = (
        f"metrics.names has {name!r}: expected one of {expected} "
        "(kid and fid go into metrics.set_names)"
    )
    raise ValueError(msg)

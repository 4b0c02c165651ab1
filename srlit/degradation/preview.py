"""Previews of a degradation: one photo from mild to harsh, and histograms of all parameters."""

import io
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from srlit.degradation.pipeline import Degradation
from srlit.ops.image_grid import image_pixels, labelled, side_by_side, stacked
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import make_keys

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRIES = 64
PLOTS_PER_ROW = 5


class Degraded(NamedTuple):
    """A degraded photo and its distance from the original.

    Attributes:
        lr: the result, (3, h, w).
        psnr: of its bilinear upscaling against the photo, in dB.
    """

    lr: Float[Tensor, "3 h w"]
    psnr: float


def severities(
    degradation: Degradation, hr: Float[Tensor, "1 3 h w"], *, columns: int, seed: int = 0
) -> list[Degraded]:
    """A photo degraded with different draws, from mild to harsh.

    64 draws are sorted by PSNR; the columns are equally spaced among them, from the third mildest
    to the third harshest.

    Args:
        degradation: the preset.
        hr: the photo in [0, 1], its size a multiple of the scale.
        columns: number of results.
        seed: of the draws.
    """
    keys = make_keys(seed, (), torch.arange(TRIES))
    target = degradation.target(hr)
    results = [degradation(target, keys[i : i + 1]) for i in range(TRIES)]
    found = [Degraded(lr[0], _psnr(lr, hr)) for lr in results]
    found.sort(key=lambda one: -one.psnr)
    places = torch.linspace(2, TRIES - 3, columns).round().long().tolist()
    return [found[place] for place in places]


def _psnr(lr: Tensor, hr: Tensor) -> float:
    large = F.interpolate(lr, size=hr.shape[-2:], mode="bilinear")
    return -10 * math.log10(max(float((large - hr).square().mean()), 1e-10))


def severity_row(
    degradation: Degradation, hr: Float[Tensor, "1 3 h w"], *, columns: int, seed: int = 0
) -> Float[Tensor, "3 _ _"]:
    """The photo, then its degraded versions from mild to harsh, each with a label."""
    height = hr.shape[2]
    images = [labelled(f"{degradation.name} x{degradation.scale}: photo", hr[0])]
    for one in severities(degradation, hr, columns=columns, seed=seed):
        large = F.interpolate(one.lr[None], size=(height, hr.shape[3]))[0]
        images.append(labelled(f"{one.psnr:.1f} dB", large))
    return side_by_side(images)


def contact_sheet(
    degradations: list[Degradation], hr: Float[Tensor, "1 3 h w"], *, columns: int, seed: int = 0
) -> Float[Tensor, "3 _ _"]:
    """One row per degradation, from mild to harsh."""
    rows = [severity_row(one, hr, columns=columns, seed=seed) for one in degradations]
    return stacked(rows)


# -- histograms -----------------------------------------------------------------------------------


def histograms(degradation: Degradation, draws: Params) -> "Figure":
    """One plot per parameter that differs between samples.

    Choices are named bars, orders a heat map of stage against step.

    Args:
        degradation: the preset.
        draws: its parameters for many samples.
    """
    from matplotlib.figure import Figure

    shown = {name: value for name, value in draws.items() if _is_worth_showing(name, value)}
    rows = max(1, math.ceil(len(shown) / PLOTS_PER_ROW))
    figure = Figure(figsize=(3 * PLOTS_PER_ROW, 2.4 * rows), layout="constrained")
    count = len(next(iter(draws.values()), ()))
    figure.suptitle(f"{degradation.name} x{degradation.scale}: parameters of {count} samples")
    choices = degradation.chain.names
    axes = figure.subplots(rows, PLOTS_PER_ROW, squeeze=False).flatten()
    for axis, (name, value) in zip(axes, shown.items(), strict=False):
        _plot(axis, value, choices.get(name))
        axis.set_title(_short(name), fontsize=7)
        axis.tick_params(labelsize=7)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    return figure


def _is_worth_showing(name: str, value: Tensor) -> bool:
    """False for keys, matrices and constants."""
    if name.rpartition(".")[2] in {"key", "mixing"}:
        return False
    known = value[~value.isnan()]
    return len(known) > 0 and bool((known != known[:1]).any())


def _short(name: str) -> str:
    """The last four parts of a name, which identify it."""
    return ".".join(name.split(".")[-4:])


def _plot(axis: "Axes", value: Tensor, choices: object) -> None:
    """One parameter."""
    if isinstance(choices, list) and value.dim() == 2:
        _plot_order(axis, value, choices)
    elif isinstance(choices, list):
        _plot_bars(axis, choices, torch.bincount(value, minlength=len(choices)))
    elif value.dtype == torch.bool:
        _plot_bars(axis, ["no", "yes"], torch.bincount(value.long(), minlength=2))
    else:
        axis.hist(value[~value.isnan()].flatten().tolist(), bins=30)


def _plot_bars(axis: "Axes", names: list[str], counts: Tensor) -> None:
    """Counts per choice."""
    places = range(len(names))
    axis.barh(places, counts.tolist())
    axis.set_yticks(places, [name.replace("_", " ") for name in names])
    axis.invert_yaxis()


def _plot_order(axis: "Axes", order: Tensor, names: list[str]) -> None:
    """Frequency of each stage at each step."""
    steps = order.shape[1]
    frequency = torch.stack([(order == stage).float().mean(0) for stage in range(steps)])
    axis.imshow(frequency.numpy(), vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axis.set_yticks(range(steps), [name.replace("_", " ") for name in names])
    axis.set_xticks(range(steps), [str(step + 1) for step in range(steps)])
    axis.set_xlabel("step", fontsize=7)


def figure_pixels(figure: "Figure") -> Float[Tensor, "3 _ _"]:
    """A figure as an image in [0, 1]."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return image_pixels(Image.open(buffer, formats=["PNG"]).convert("RGB"))

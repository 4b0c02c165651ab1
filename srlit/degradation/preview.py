"""Previews of a degradation: one photo from mild to harsh, and histograms of all parameters."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from srlit.degradation.pipeline import Degradation
from srlit.ops.image_grid import image_pixels, labelled, side_by_side
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import make_keys

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRIES = 64
PLOTS_PER_ROW = 5


def severities(
    degradation: Degradation, hr: Float[Tensor, "1 3 h w"], *, columns: int, seed: int = 0
) -> list[tuple[float, Float[Tensor, "3 _ _"]]]:
    """A photo degraded with different draws, from mild to harsh.

    64 draws are sorted by PSNR; the columns are equally spaced among them, from the third mildest
    to the third harshest.

    Args:
        degradation: the preset.
        hr: the photo in [0, 1], its size a multiple of the scale.
        columns: number of results.
        seed: of the draws.

    Returns:
        The PSNR of each result's bilinear upscaling against the photo, in dB, and the result.
    """
    keys = make_keys(seed, (), torch.arange(TRIES))
    target = degradation.target(hr)
    results = [degradation(target, key[None]) for key in keys]
    found = sorted(((_psnr(lr, hr), lr[0]) for lr in results), key=lambda pair: -pair[0])
    places = torch.linspace(2, TRIES - 3, columns).round().long().tolist()
    return [found[place] for place in places]


def _psnr(lr: Tensor, hr: Tensor) -> float:
    large = F.interpolate(lr, size=hr.shape[-2:], mode="bilinear")
    return -10 * math.log10(max(float((large - hr).square().mean()), 1e-10))


def severity_row(
    degradation: Degradation, hr: Float[Tensor, "1 3 h w"], *, columns: int, seed: int = 0
) -> Float[Tensor, "3 _ _"]:
    """The photo, then its degraded versions from mild to harsh, each with a label."""
    images = [labelled(f"{degradation.name} x{degradation.scale}: photo", hr[0])]
    for psnr, lr in severities(degradation, hr, columns=columns, seed=seed):
        images.append(labelled(f"{psnr:.1f} dB", F.interpolate(lr[None], size=hr.shape[-2:])[0]))
    return side_by_side(images)


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
    axes = figure.subplots(rows, PLOTS_PER_ROW, squeeze=False).flatten()
    for axis, (name, value) in zip(axes, shown.items(), strict=False):
        _plot(axis, value, degradation.chain.names.get(name))
        # The last four parts of a name identify it.
        axis.set_title(".".join(name.split(".")[-4:]), fontsize=7)
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


def _plot(axis: "Axes", value: Tensor, choices: Sequence[str] | None) -> None:
    """One parameter."""
    if value.dtype == torch.bool:
        value, choices = value.long(), ["no", "yes"]
    if choices is None:
        axis.hist(value[~value.isnan()].flatten().tolist(), bins=30)
        return
    places = range(len(choices))
    axis.set_yticks(places, [name.replace("_", " ") for name in choices])
    if value.dim() == 1:
        axis.barh(places, torch.bincount(value, minlength=len(choices)).tolist())
        axis.invert_yaxis()
        return
    frequency = torch.stack([(value == stage).float().mean(0) for stage in places])
    axis.imshow(frequency.numpy(), vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axis.set_xticks(places, [str(step + 1) for step in places])
    axis.set_xlabel("step", fontsize=7)


def figure_pixels(figure: "Figure") -> Float[Tensor, "3 _ _"]:
    """A figure as an image in [0, 1]."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return image_pixels(Image.open(buffer, formats=["PNG"]).convert("RGB"))

"""Comparison images of runs and evaluations, split into layers that a page can overlay."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor, equal

from srlit.callbacks.image_logger import centre, panel_name, read_panel
from srlit.data.decode import read_photo
from srlit.ops.image_grid import split_comparison
from srlit.reports.axis import short
from srlit.reports.evaluations import REFERENCE, Evaluation, Photo, deciding_metric, ranked
from srlit.reports.run_folders import Run
from srlit.reports.warnings import Warnings

Pixels = UInt8[Tensor, "3 _ _"]

# WebP quality and maximum side, tried from the best on until the images fit the budget; None is
# lossless. All images get the same, so that they can be compared with each other.
LADDER = ((None, 1024), (95, 1024), (88, 768), (80, 512), (70, 384))
MAX_PANELS = 3


class Layer(NamedTuple):
    """One image of several of the same photo.

    Attributes:
        label: LR, HR, or the method that made it.
        pixels: of the image.
        note: its metric, if it was measured.
    """

    label: str
    pixels: Pixels
    note: str = ""


class Shot(NamedTuple):
    """A photo by several methods.

    Attributes:
        title: which photo.
        note: why it is shown.
        layers: LR first, HR last.
        left: label of the layer that the left half shows at first.
        right: likewise.
    """

    title: str
    note: str
    layers: list[Layer]
    left: str
    right: str


class Viewer(NamedTuple):
    """A shot as the page embeds it.

    Attributes:
        shot: title, note, layers and the labels shown first.
        uris: the layers' files as data: URIs.
        width: of the photo, in HR pixels.
        height: likewise.
    """

    shot: Shot
    uris: list[str]
    width: int
    height: int


# -- splitting ----------------------------------------------------------------------------------


def panel_shots(runs: Sequence[Run], warnings: Warnings) -> list[Shot]:
    """The validation photos of each run at its selected checkpoint; the same photos as one shot."""
    shots: list[Shot] = []
    several = len(runs) > 1
    for run in runs:
        path = _panel(run)
        if path is None:
            continue
        rows: list[list[Tensor]] = warnings.attempt(read_panel, path, [])
        labels = ("LR", run.name if several else "SR", "HR")
        note = "" if several else f"iteration {int(path.stem[-7:]):,}"
        for number, row in enumerate(rows[:MAX_PANELS], 1):
            layers = [Layer(*layer) for layer in zip(labels, map(_bytes, row), strict=True)]
            _join(shots, Shot(f"Validation photo {number}", note, layers, *labels[:2]))
    return shots


def _panel(run: Run) -> Path | None:
    """The validation images of the selected checkpoint, or else the newest."""
    panels = sorted((run.folder / "panels").glob("iteration_*.png"))
    best = panel_name(run.selected.iteration) if run.selected else ""
    return next((path for path in panels if path.name == best), panels[-1] if panels else None)


def _join(shots: list[Shot], new: Shot) -> None:
    """Add a shot, to one of the same LR and HR where there is one."""
    lr, *restored, hr = new.layers
    for i, shot in enumerate(shots):
        if equal(shot.layers[0].pixels, lr.pixels) and equal(shot.layers[-1].pixels, hr.pixels):
            layers = [*shot.layers[:-1], *restored, shot.layers[-1]]
            shots[i] = shot._replace(layers=layers, right=new.right)
            return
    shots.append(new)


def evaluation_shots(evaluation: Evaluation, count: int, warnings: Warnings) -> list[Shot]:
    """The worst and the best photos of an evaluation that have a comparison image."""
    metric = deciding_metric(evaluation.metrics)
    if metric is None:
        return []
    images = (evaluation.folder / "images").glob("*.png")
    numbered = [(path.name.split("_")[0], path) for path in sorted(images)]
    files = {int(number): path for number, path in numbered if number.isdecimal()}
    photos = ranked(evaluation.photos, evaluation.ranked_method, metric)
    order = [photo for photo in photos if photo.number in files]
    worst = order[: min(count, (len(order) + 1) // 2)]
    best = order[::-1][: min(count, len(order) - len(worst))]
    shots: list[Shot | None] = []
    words = ["worst"] * len(worst) + ["best"] * len(best)
    for photo, word in zip([*worst, *best], words, strict=True):
        read = partial(_shot, evaluation=evaluation, photo=photo, metric=metric, word=word)
        shots.append(warnings.attempt(read, files[photo.number], None))
    return [shot for shot in shots if shot is not None]


def _shot(path: Path, evaluation: Evaluation, photo: Photo, metric: str, word: str) -> Shot:
    """A comparison image as a shot."""
    methods, shown = evaluation.methods, evaluation.ranked_method
    images = split_comparison(read_photo(path).float() / 255, ["LR", *methods, "HR"])
    notes = {m: short(values[metric]) for m, values in photo.values.items() if metric in values}
    layers = [Layer(name, _bytes(one), notes.get(name, "")) for name, one in images.items()]
    left = REFERENCE if REFERENCE in methods else "LR"
    return Shot(photo.name, f"{word} · {metric} {notes.get(shown, '')}", layers, left, shown)


def _bytes(image: Tensor) -> Pixels:
    return (image * 255).round().byte()


# -- embedding ----------------------------------------------------------------------------------


def embed(
    groups: Sequence[Sequence[Shot]], budget: int, warnings: Warnings
) -> tuple[list[list[Viewer]], str]:
    """Encode all shots as well as the budget allows; the last ones are left out if nothing helps.

    Args:
        groups: shots.
        budget: bytes that all images together may take in the page.
        warnings: told of what is left out.

    Returns:
        Viewers, grouped as their shots were; how they are stored and what that takes.
    """
    for quality, side in LADDER:
        made = [[_viewer(shot, quality, side) for shot in shots] for shots in groups]
        if size_of(made) <= budget:
            break
    while size_of(made) > budget:
        max(made, key=len).pop()
    if dropped := sum(map(len, groups)) - sum(map(len, made)):
        warnings.append(f"{dropped} images are left out: image_megabytes={budget / 2**20:g}")
    kind = "lossless WebP" if quality is None else f"WebP of quality {quality}"
    used = f"{size_of(made) / 2**20:.1f} of {budget / 2**20:g} MiB"
    return made, f"{kind}, centres of at most {side} pixels a side, {used}"


def size_of(groups: Sequence[Sequence[Viewer]]) -> int:
    """Bytes of all images in the page."""
    return sum(len(uri) for viewers in groups for one in viewers for uri in one.uris)


def _viewer(shot: Shot, quality: int | None, side: int) -> Viewer:
    height, width = centre(shot.layers[-1].pixels, side).shape[1:]
    return Viewer(shot, [_uri(layer, quality, side) for layer in shot.layers], width, height)


def _uri(layer: Layer, quality: int | None, side: int) -> str:
    pixels = centre(layer.pixels, side)
    small = unrepeated(pixels) if layer.label == "LR" else pixels
    file = io.BytesIO()
    # LR is magnified as squares: lossless, as a codec's artefacts would pass for the camera's.
    lossless = quality is None or small is not pixels
    options = {"quality": 60, "method": 3} if lossless else {"quality": quality, "method": 4}
    image = Image.fromarray(small.permute(1, 2, 0).numpy())
    image.save(file, "webp", lossless=lossless, **options)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def unrepeated(pixels: Pixels) -> Pixels:
    """An image enlarged by repeating its pixels, as it was before; any other one as it is."""
    for factor in (8, 4, 3, 2):
        small = pixels[:, ::factor, ::factor]
        if equal(small.repeat_interleave(factor, 1).repeat_interleave(factor, 2), pixels):
            return small
    return pixels

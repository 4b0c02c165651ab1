"""Comparison images of runs and evaluations, split into layers that a page can overlay."""

import base64
import io
from collections.abc import Iterator, Sequence
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
LADDER: tuple[tuple[int | None, int], ...] = (
    (None, 1024), (95, 1024), (88, 768), (80, 512), (70, 384),
)  # fmt: skip
MAX_PANELS = 3


class Layer(NamedTuple):
    """One image of several of the same photo.

    Attributes:
        label: LR, HR, or the method that made it.
        note: its metric, if it was measured.
        pixels: of the image.
    """

    label: str
    note: str
    pixels: Pixels


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


class EncodedLayer(NamedTuple):
    """A layer as the page embeds it.

    Attributes:
        label: as the layer's.
        note: likewise.
        uri: the file as a data: URI.
        coarse: whether its pixels are shown as squares: LR.
    """

    label: str
    note: str
    uri: str
    coarse: bool


class Viewer(NamedTuple):
    """A shot as the page embeds it.

    Attributes:
        shot: title, note and the labels shown first.
        images: its layers.
        width: of the photo, in HR pixels.
        height: likewise.
    """

    shot: Shot
    images: list[EncodedLayer]
    width: int
    height: int


# -- splitting ----------------------------------------------------------------------------------


def panel_shots(runs: Sequence[Run], warnings: Warnings) -> list[Shot]:
    """The validation photos of each run at its selected checkpoint; the same photos as one shot."""
    shots: list[Shot] = []
    for run in runs:
        path = _panel(run)
        rows: list[list[Tensor]] = warnings.attempt(read_panel, path, []) if path else []
        for number, (lr, sr, hr) in enumerate(rows[:MAX_PANELS], 1):
            label = run.name if len(runs) > 1 else "SR"
            made = [
                Layer("LR", "", _bytes(lr)),
                Layer(label, "", _bytes(sr)),
                Layer("HR", "", _bytes(hr)),
            ]
            title = f"Validation photo {number}"
            note = "" if len(runs) > 1 else f"iteration {int(path.stem[-7:]):,}" if path else ""
            _join(shots, Shot(title, note, made, "LR", label))
    return shots


def _panel(run: Run) -> Path | None:
    """The validation images of the selected checkpoint, or else the newest."""
    panels = sorted((run.folder / "panels").glob("iteration_*.png"))
    if (
        run.selected
        and (best := run.folder / "panels" / panel_name(run.selected.iteration)) in panels
    ):
        return best
    return panels[-1] if panels else None


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
    files = {int(path.name.split("_")[0]): path for path in _numbered(evaluation.folder)}
    photos = ranked(evaluation.photos, evaluation.ranked_method, metric)
    order = [photo for photo in photos if photo.number in files]
    worst = order[: min(count, (len(order) + 1) // 2)]
    best = order[::-1][: min(count, len(order) - len(worst))]
    chosen = [(photo, "worst") for photo in worst] + [(photo, "best") for photo in best]
    shots: list[Shot] = []
    for photo, word in chosen:
        read = partial(_shot, evaluation=evaluation, photo=photo, metric=metric, word=word)
        shot: Shot | None = warnings.attempt(read, files[photo.number], None)
        shots += [shot] if shot else []
    return shots


def _numbered(folder: Path) -> Iterator[Path]:
    files = sorted((folder / "images").glob("*.png"))
    return (path for path in files if path.name.split("_")[0].isdecimal())


def _shot(path: Path, evaluation: Evaluation, photo: Photo, metric: str, word: str) -> Shot:
    """A comparison image as a shot."""
    methods = evaluation.methods
    images = split_comparison(read_photo(path).float() / 255, ["LR", *methods, "HR"])
    notes = {m: short(values[metric]) for m, values in photo.values.items() if metric in values}
    layers = [Layer(name, notes.get(name, ""), _bytes(one)) for name, one in images.items()]
    left = REFERENCE if REFERENCE in methods else "LR"
    ranked_method = evaluation.ranked_method
    note = f"{word} · {metric} {notes.get(ranked_method, '')}"
    return Shot(photo.name, note, layers, left, ranked_method)


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
    dropped = 0
    while size_of(made) > budget:
        max(made, key=len).pop()
        dropped += 1
    if dropped:
        warnings.append(f"{dropped} images are left out: image_megabytes={budget / 2**20:g}")
    kind = "lossless WebP" if quality is None else f"WebP of quality {quality}"
    used = f"{size_of(made) / 2**20:.1f} of {budget / 2**20:g} MiB"
    return made, f"{kind}, centres of at most {side} pixels a side, {used}"


def size_of(groups: Sequence[Sequence[Viewer]]) -> int:
    """Bytes of all images in the page."""
    return sum(len(i.uri) for viewers in groups for one in viewers for i in one.images)


def _viewer(shot: Shot, quality: int | None, side: int) -> Viewer:
    height, width = centre(shot.layers[-1].pixels, side).shape[1:]
    images = [_image(layer, quality, side) for layer in shot.layers]
    return Viewer(shot, images, width, height)


def _image(layer: Layer, quality: int | None, side: int) -> EncodedLayer:
    pixels = centre(layer.pixels, side)
    small = unrepeated(pixels) if layer.label == "LR" else pixels
    image = Image.fromarray(small.permute(1, 2, 0).numpy())
    file = io.BytesIO()
    # LR is magnified as squares: lossless, as a codec's artefacts would pass for the camera's.
    if quality is None or small is not pixels:
        image.save(file, "webp", lossless=True, quality=60, method=3)
    else:
        image.save(file, "webp", quality=quality, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    return EncodedLayer(layer.label, layer.note, uri, coarse=layer.label == "LR")


def unrepeated(pixels: Pixels) -> Pixels:
    """An image enlarged by repeating its pixels, as it was before; any other one as it is."""
    for factor in (8, 4, 3, 2):
        h, w = pixels.shape[1:]
        if h % factor or w % factor:
            continue
        small = pixels[:, ::factor, ::factor]
        if equal(small.repeat_interleave(factor, 1).repeat_interleave(factor, 2), pixels):
            return small
    return pixels

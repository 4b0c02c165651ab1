"""Pictures of runs and evaluations, taken apart into images that a page can lay over each other."""

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
from srlit.data import read_photo
from srlit.evaluation.image_strip import parted
from srlit.reports.axis import short
from srlit.reports.evaluations import REFERENCE, Evaluation, Photo, deciding_metric, ranked
from srlit.reports.run_folders import Run
from srlit.reports.warnings import Notices

Pixels = UInt8[Tensor, "3 _ _"]

# WebP quality and greatest side, tried from the best on until the pictures fit the budget; None is
# lossless. One rung serves all pictures, so that they can be compared with each other.
LADDER: tuple[tuple[int | None, int], ...] = (
    (None, 1024), (95, 1024), (88, 768), (80, 512), (70, 384),
)  # fmt: skip
MOST_PANELS = 3


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


class Image64(NamedTuple):
    """An image for a page; see `Layer`.

    Attributes:
        label: as the layer's.
        note: likewise.
        uri: the file as a data: URI.
        width: in pixels.
        height: likewise.
        coarse: whether its pixels shall be seen as squares: LR.
    """

    label: str
    note: str
    uri: str
    width: int
    height: int
    coarse: bool


class Viewer(NamedTuple):
    """A shot for a page; see `Shot`.

    Attributes:
        title: as the shot's.
        note: likewise.
        images: its layers.
        left: as the shot's.
        right: likewise.
        width: of the photo, in HR pixels.
        height: likewise.
    """

    title: str
    note: str
    images: list[Image64]
    left: str
    right: str
    width: int
    height: int


class Album(NamedTuple):
    """All pictures of a page.

    Attributes:
        groups: viewers, grouped as their shots were.
        words: how they are stored and what that takes.
    """

    groups: list[list[Viewer]]
    words: str


# -- taking apart -------------------------------------------------------------------------------


def panel_shots(runs: Sequence[Run], notices: Notices) -> list[Shot]:
    """The validation photos of each run at its selected checkpoint; the same photos as one shot."""
    shots: list[Shot] = []
    for run in runs:
        path = _panel(run)
        rows: list[list[Tensor]] = notices.attempt(read_panel, path, []) if path else []
        for number, (lr, sr, hr) in enumerate(rows[:MOST_PANELS], 1):
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
    """The picture of the selected checkpoint, or else the newest."""
    pictures = sorted((run.folder / "panels").glob("iteration_*.png"))
    if (
        run.selected
        and (best := run.folder / "panels" / panel_name(run.selected.iteration)) in pictures
    ):
        return best
    return pictures[-1] if pictures else None


def _join(shots: list[Shot], new: Shot) -> None:
    """Add a shot, to one of the same LR and HR where there is one."""
    lr, *restored, hr = new.layers
    for i, shot in enumerate(shots):
        if equal(shot.layers[0].pixels, lr.pixels) and equal(shot.layers[-1].pixels, hr.pixels):
            layers = [*shot.layers[:-1], *restored, shot.layers[-1]]
            shots[i] = shot._replace(layers=layers, right=new.right)
            return
    shots.append(new)


def evaluation_shots(evaluation: Evaluation, most: int, notices: Notices) -> list[Shot]:
    """The worst and the best photos of an evaluation that have a picture."""
    metric = deciding_metric(evaluation.metrics)
    if metric is None:
        return []
    files = {int(path.name.split("_")[0]): path for path in _numbered(evaluation.folder)}
    order = [p for p in ranked(evaluation.photos, evaluation.judged, metric) if p.number in files]
    worst = order[: min(most, (len(order) + 1) // 2)]
    best = order[::-1][: min(most, len(order) - len(worst))]
    told = [(photo, "worst") for photo in worst] + [(photo, "best") for photo in best]
    shots: list[Shot] = []
    for photo, word in told:
        read = partial(_shot, evaluation=evaluation, photo=photo, metric=metric, word=word)
        shot: Shot | None = notices.attempt(read, files[photo.number], None)
        shots += [shot] if shot else []
    return shots


def _numbered(folder: Path) -> Iterator[Path]:
    pictures = sorted((folder / "pictures").glob("*.png"))
    return (path for path in pictures if path.name.split("_")[0].isdecimal())


def _shot(path: Path, evaluation: Evaluation, photo: Photo, metric: str, word: str) -> Shot:
    """A comparison picture as a shot."""
    methods = evaluation.methods
    images = parted(read_photo(path).float() / 255, ["LR", *methods, "HR"])
    notes = {m: short(values[metric]) for m, values in photo.values.items() if metric in values}
    layers = [Layer(name, notes.get(name, ""), _bytes(one)) for name, one in images.items()]
    left = REFERENCE if REFERENCE in methods else "LR"
    judged = evaluation.judged
    note = f"{word} · {metric} {notes.get(judged, '')}"
    return Shot(photo.name, note, layers, left, judged)


def _bytes(image: Tensor) -> Pixels:
    return (image * 255).round().byte()


# -- embedding ----------------------------------------------------------------------------------


def embed(groups: Sequence[Sequence[Shot]], budget: int, notices: Notices) -> Album:
    """Encode all shots as well as the budget allows; the last ones are left out if nothing helps.

    Args:
        groups: shots.
        budget: bytes that all images together may take in the page.
        notices: told of what is left out.
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
        notices.append(f"{dropped} pictures are left out: image_megabytes={budget / 2**20:g}")
    return Album(made, _words(size_of(made), budget, quality, side))


def size_of(groups: Sequence[Sequence[Viewer]]) -> int:
    """What all images take in the page."""
    return sum(len(i.uri) for viewers in groups for one in viewers for i in one.images)


def _words(size: int, budget: int, quality: int | None, side: int) -> str:
    kind = "lossless WebP" if quality is None else f"WebP of quality {quality}"
    return (
        f"{kind}, centres of at most {side} pixels a side, {size / 2**20:.1f} of "
        f"{budget / 2**20:g} MiB"
    )


def _viewer(shot: Shot, quality: int | None, side: int) -> Viewer:
    height, width = centre(shot.layers[-1].pixels, side).shape[1:]
    images = [_image(layer, quality, side) for layer in shot.layers]
    return Viewer(shot.title, shot.note, images, shot.left, shot.right, width, height)


def _image(layer: Layer, quality: int | None, side: int) -> Image64:
    pixels = centre(layer.pixels, side)
    small = unrepeated(pixels) if layer.label == "LR" else pixels
    picture = Image.fromarray(small.permute(1, 2, 0).numpy())
    file = io.BytesIO()
    # What is magnified by squares keeps its pixels: a codec's noise would pass for the camera's.
    if quality is None or small is not pixels:
        picture.save(file, "webp", lossless=True, quality=60, method=3)
    else:
        picture.save(file, "webp", quality=quality, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Image64(layer.label, layer.note, uri, *picture.size, coarse=layer.label == "LR")


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

"""Other ways from files to batches of patches, to set srlit's data path beside.

Two are BasicSR's, with its own dataset, loader and LMDB; the others are what is left when all but
the copying, or all but the decoding, is taken away. BasicSR comes into a folder of its own, which
is searched after everything else:

    pip install --no-deps --no-build-isolation --target build/peers \
        basicsr==1.4.2 opencv-python-headless lmdb

`--no-deps` keeps it from bringing another torch, numpy or OpenCV; what else it imports, srlit
depends on already.
"""

import itertools
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common.peers import import_basicsr, import_peer
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image

HINT = (
    "pip install --no-deps --no-build-isolation --target build/peers "
    "basicsr==1.4.2 opencv-python-headless lmdb"
)
SCALE = 2
SUB_IMAGE = 480  # side of a sub-image, HR pixels, as in BasicSR's data preparation

Pixels = NDArray[np.uint8]
Call = Callable[[], object]
# Gives an iterator of so many batches, which go on where the last one's ended.
Batches = Callable[[int], Iterator[object]]


# BasicSR


def _basicsr(options: dict[str, Any], patch_size: int, batch_size: int, workers: int) -> Batches:
    """BasicSR's dataset of pairs in its loader, with the options of its training of EDSR."""
    data = import_basicsr("basicsr.data", HINT)
    module = import_basicsr("basicsr.data.paired_image_dataset", HINT)
    import_peer("lmdb", HINT)
    options = {
        "phase": "train",
        "scale": SCALE,
        "gt_size": patch_size,
        "use_hflip": True,
        "use_rot": True,
        "batch_size_per_gpu": batch_size,
        "num_worker_per_gpu": workers,
        "persistent_workers": True,  # so that an iterator does not start processes
        **options,
    }
    dataset = module.PairedImageDataset(options)
    # BasicSR's sampler too goes through the files again and again within one iterator; this one
    # ends before the workers begin what nobody asks for.
    samples: list[int] = []
    loader = data.build_dataloader(dataset, options, sampler=samples)

    def batches(count: int) -> Iterator[object]:
        samples[:] = torch.randint(len(dataset), (count * batch_size,)).tolist()
        return iter(loader)

    return batches


def basicsr_folder(
    hr: Path, lr: Path, *, patch_size: int, batch_size: int, workers: int
) -> Batches:
    """BasicSR on two folders of equally named photos.

    Args:
        hr: folder of the targets.
        lr: folder of the inputs, `SCALE` times smaller.
        patch_size: side of a target's patch.
        batch_size: patches a batch.
        workers: worker processes.

    Raises:
        MissingPeerError: BasicSR, OpenCV or lmdb is not installed.
    """
    options = {"dataroot_gt": str(hr), "dataroot_lq": str(lr), "io_backend": {"type": "disk"}}
    return _basicsr(options, patch_size, batch_size, workers)


def basicsr_lmdb(folder: Path, *, patch_size: int, batch_size: int, workers: int) -> Batches:
    """BasicSR on what `write_lmdb` left in a folder; for the rest see `basicsr_folder`."""
    options = {
        "dataroot_gt": str(folder / "hr.lmdb"),
        "dataroot_lq": str(folder / "lr.lmdb"),
        "io_backend": {"type": "lmdb"},
    }
    return _basicsr(options, patch_size, batch_size, workers)


def write_lmdb(hr: Path, lr: Path, folder: Path) -> None:
    """Cut photos into sub-images and store them as BasicSR does.

    Its preparation lets sub-images overlap by half, which makes four times as many of the same
    size: more to keep, at the same cost of each.

    Args:
        hr: folder of the targets.
        lr: folder of equally named inputs, `SCALE` times smaller.
        folder: where `hr.lmdb` and `lr.lmdb` go.

    Raises:
        MissingPeerError: BasicSR, OpenCV or lmdb is not installed.
    """
    import_peer("lmdb", HINT)
    util = import_basicsr("basicsr.utils.lmdb_util", HINT)
    for name, photos, side in (("hr", hr, SUB_IMAGE), ("lr", lr, SUB_IMAGE // SCALE)):
        maker = util.LmdbMaker(str(folder / f"{name}.lmdb"), map_size=2**34)
        for path in sorted(photos.iterdir()):
            for place, part in _sub_images(util.cv2.imread(str(path)), side):
                options = [util.cv2.IMWRITE_PNG_COMPRESSION, maker.compress_level]
                _, file = util.cv2.imencode(".png", part, options)
                maker.put(file.tobytes(), f"{path.stem}_{place}", part.shape)
        maker.close()


def _sub_images(photo: Pixels, side: int) -> Iterator[tuple[str, Pixels]]:
    """Squares side by side, with the names of their places."""
    rows, columns = (n // side for n in photo.shape[:2])
    for row, column in itertools.product(range(rows), range(columns)):
        top, left = row * side, column * side
        yield f"{row}{column}", photo[top : top + side, left : left + side]


# Only the copying


class Place(NamedTuple):
    """A patch: where it is cut, and which of the eight flips and turns it gets."""

    photo: int
    top: int
    left: int
    turn: int


def _turned(patch: Pixels, turn: int, axes: tuple[int, int]) -> Pixels:
    """One of the eight flips and quarter turns, as a view."""
    patch = np.flip(patch, axes[0]) if turn & 1 else patch
    patch = np.flip(patch, axes[1]) if turn & 2 else patch
    return patch.swapaxes(*axes) if turn & 4 else patch


def crop_loop(
    arrays: Mapping[bool, Pixels],
    places: Sequence[Place],
    patch_size: int,
    batch_size: int,
    *,
    interleaved: bool,
    to_planes: bool = False,
    turns: bool = False,
) -> Call:
    """Copy crops of an array of photos into one batch that is always the same, and do no more.

    Args:
        arrays: the photos, (n, 3, h, w) under False and (n, h, w, 3) under True.
        places: drawn beforehand; one batch after the other, in a circle.
        patch_size: side of a patch.
        batch_size: patches a batch.
        interleaved: which of both; whether colours lie innermost.
        to_planes: the batch is (n, 3, p, p) although the photos are interleaved.
        turns: flip and turn on the way.
    """
    photos = arrays[interleaved]
    axes = (0, 1) if interleaved else (1, 2)
    planes = not interleaved or to_planes
    shape = (3, patch_size, patch_size) if planes else (patch_size, patch_size, 3)
    batch = np.empty((batch_size, *shape), np.uint8)
    circle = itertools.cycle(places)

    def run() -> Pixels:
        for target, (photo, top, left, turn) in zip(batch, circle, strict=False):
            rows, columns = slice(top, top + patch_size), slice(left, left + patch_size)
            at = (photo, rows, columns) if interleaved else (photo, slice(None), rows, columns)
            patch = _turned(photos[at], turn, axes) if turns else photos[at]
            target[...] = patch.transpose(2, 0, 1) if to_planes else patch
        return batch

    return run


# Only the decoding, and only the writing


def _decode(paths: Sequence[Path]) -> None:
    for path in paths:
        with Image.open(path) as image:
            image.load()


def decode_all(paths: Sequence[Path], processes: int) -> None:
    """Decode files with Pillow, in processes, and throw the pixels away."""
    start = "fork" if sys.platform.startswith("linux") else "spawn"
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        list(pool.map(_decode, [[path] for path in paths]))


def write_all(photos: UInt8[np.ndarray, "n 3 h w"], path: Path) -> None:
    """Write pixels to a file and wait until the disk has them."""
    with path.open("wb") as file:
        for photo in photos:
            file.write(photo.data)
        file.flush()
        os.fsync(file.fileno())

"""How fast do patches reach the training step, what does packing cost, how long does a start take?

Three sections, each of which `--sections` can choose:

    patches  256 x 256 patches in batches of 16, from photos of 2040 x 1356 pixels
    packing  decoding every file once, with and without writing the pixels to the packed store
    start    auditing files that an earlier training has seen, and opening the packed store

BasicSR's dataset, loader and LMDB are in `data_peers.py`, and so are the limits: a loop that copies
crops of a memory-mapped array into one batch and does nothing else, Pillow's decoder alone, writing
alone. BasicSR is kept apart from srlit's environment:

    pip install --no-deps --no-build-isolation --target build/peers \
        basicsr==1.4.2 opencv-python-headless lmdb

What is missing is left out, and the line printed instead says how to get it. Photos are mosaics of
`bsds400` in the folder that SRLIT_DATA names, else of scikit-image's, stored as PNG; they and
BasicSR's LMDB are made once, in `build/bench_data` (0.3 GB; twice as much more while it runs).

    SRLIT_DATA=... python benchmarks/data.py --json data.json

What was asked of srlit: 3,000 patches/s where photos are packed, 15 times BasicSR's from its LMDB
of 480 x 480 sub-images and 120 times BasicSR's from a folder of photos; a folder that is not packed
not slower than BasicSR's; packing in at most 1.3 times the time of decoding. Nothing is asserted.

What is measured in `patches` is the loader in its steady state: its iterator is asked for batch
after batch, nothing else is done with them, and the first ones do not count. All files are in the
page cache, all maps have been touched. Two differences remain. BasicSR's batches are pairs: they
hold LR patches too, are flipped, turned and turned into float32, which srlit leaves to the device
(the row that does so on the CPU shows what it costs there). And srlit draws an order for each
epoch: its few photos are listed over and over, 816 in all, so that this happens as seldom as with
DIV2K. (One that comes twice in a row is decoded once: one in 24.)

`times` is the time of a row as a multiple of its table's first row: 15 means that the first needs
a fifteenth. Machines are noisy, so contestants take turns in rounds of blocks; a block takes half
a second or four batches, whichever takes longer (in `packing`: one go). A row's value is its median
block, `times` the median of the rounds' ratios, `min` and `max` the extremes of these, and
`of means` the ratio of the sums of all blocks. In full it takes 3 minutes on two cores, nearly all
of them where files are decoded, and with `--quick` less than one.
"""

import io
import math
import shutil
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import data_peers as peers
import numpy as np
from common.peers import BUILD
from common.photos import photos_of, sample_photos
from common.race import Block, Call, gather, race, seconds_a_call, take_turns
from common.race import Effort as CommonEffort
from common.results import Row, cell, make_parser, milliseconds, rate, report, timed_rows
from PIL import Image

from srlit.config import quieten
from srlit.data.audit import Audit, Checks, Photo
from srlit.data.datasets import PatchBatches
from srlit.data.loader import make_loader
from srlit.data.reader import PhotoReader
from srlit.data.sampler import PhotoOrder
from srlit.data.scan import cores
from srlit.data.store import PackedStore
from srlit.data.transforms import Augmentation
from srlit.ops.malloc import keep_freed_memory
from srlit.ops.rng import RowGenerator
from srlit.types import Photos

SEED = 1
WIDTH, HEIGHT = 2040, 1356  # most of DIV2K
TILE_WIDTH, TILE_HEIGHT = 480, 320
QUARTER = Image.Transpose.ROTATE_90
PATCH, BATCH = 256, 16
EPOCH = 816  # visits, about as many as DIV2K has photos
WORKERS = 2
SKIPPED = 2  # batches before a block
PLACES = 4096
FOLDER = BUILD / "bench_data"
BARE = "bare loop, planar"
PACKING, WRITING = "audit and packing", "writing and fsync alone"


@dataclass(frozen=True)
class Effort(CommonEffort):
    """How much is measured.

    Args:
        photos: of 2040 x 1356 pixels.
        files: whose audit is remembered.
        batches: in a block, at least.
        warm: batches before the first block.
    """

    photos: int
    files: int
    batches: int
    warm: int


FULL = Effort(rounds=3, block=0.5, photos=24, files=400, batches=4, warm=6)
QUICK = Effort(rounds=1, block=0.2, photos=6, files=60, batches=2, warm=1)


# Photos


def small_photos() -> list[Path]:
    """What mosaics are made of."""
    return photos_of("bsds400") or sample_photos()


def tiles() -> list[Image.Image]:
    """Photos in colour that are large enough, lying on their side."""
    found = []
    for path in small_photos():
        with Image.open(path) as image:
            if image.mode == "RGB":
                wide = image if image.width >= image.height else image.transpose(QUARTER)
                found.append(wide.copy())
    return [tile for tile in found if tile.width >= TILE_WIDTH and tile.height >= TILE_HEIGHT]


def mosaic(sources: Sequence[Image.Image], rng: np.random.Generator) -> Image.Image:
    """Parts of photos side by side."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT))
    for top in range(0, HEIGHT, TILE_HEIGHT):
        for left in range(0, WIDTH, TILE_WIDTH):
            tile = sources[int(rng.integers(len(sources)))]
            x = int(rng.integers(tile.width - TILE_WIDTH + 1))
            y = int(rng.integers(tile.height - TILE_HEIGHT + 1))
            canvas.paste(tile.crop((x, y, x + TILE_WIDTH, y + TILE_HEIGHT)), (left, top))
    return canvas


def make_photos(folder: Path, count: int) -> None:
    """Mosaics in `hr`, their halves in `lr`, under the same names."""
    sources = tiles()
    streams = np.random.default_rng(SEED).spawn(count)
    size = WIDTH // peers.SCALE, HEIGHT // peers.SCALE
    for name in ("hr", "lr"):
        (folder / name).mkdir()

    def make(number: int) -> None:
        photo = mosaic(sources, streams[number])
        photo.save(folder / "hr" / f"{number:03}.png")
        photo.resize(size, Image.Resampling.BICUBIC).save(folder / "lr" / f"{number:03}.png")

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(make, range(count)))


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that an earlier call made, or this one; half of one is never found."""
    if not folder.is_dir():
        with scratch() as temporary:
            part = temporary / folder.name
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


def photo_folder(count: int) -> Path:
    """The folder with `hr` and `lr`, made where it is missing."""
    name = "bsds400" if photos_of("bsds400") else "samples"
    return once(FOLDER / f"{name}-{count}", partial(make_photos, count=count))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the same disk, for what is made anew in each run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        yield Path(folder)


def check(paths: Sequence[Path], *, store: Path | None = None, cache: Path | None = None) -> Audit:
    """Srlit's audit, without its progress bar."""
    with redirect_stdout(io.StringIO()):
        return Checks(1, 0, cache, store)(paths, PATCH)


# Contestants


def srlit_batches(
    photos: Sequence[Photo], *, store: Path | None, cache_mb: float = 0, workers: int | None
) -> peers.Batches:
    """Srlit's loader, as a training makes it."""
    photos = list(photos) * math.ceil(EPOCH / len(photos))
    reader = PhotoReader(photos, cache_mb=cache_mb, store=PackedStore(store))
    order = PhotoOrder([len(photos)], seed=SEED, weights=None)
    dataset = PatchBatches(reader, order, seed=SEED, patch_size=PATCH, batch_size=BATCH)
    iterations = [-1]
    loader = make_loader(dataset, iterations, workers=workers, packed=reader.packed)

    def batches(count: int) -> Iterator[Photos]:
        first = iterations[-1] + 1
        iterations[:] = range(first, first + count)
        return iter(loader)

    return batches


def on_cpu(batches: peers.Batches) -> peers.Batches:
    """With the flips, turns and floats that BasicSR's workers make, in the main process."""
    augmentation = Augmentation()

    def augmented(count: int) -> Iterator[object]:
        for batch in batches(count):
            assert isinstance(batch, Photos)
            yield augmentation(batch.pixels, RowGenerator(batch.keys))

    return augmented


class LoaderBlock:
    """A block of a loader in its steady state, which it leaves without anything to do.

    Args:
        batches: gives an iterator of so many batches.
        effort: how long a block is.
    """

    def __init__(self, batches: peers.Batches, effort: Effort) -> None:
        self.batches = batches
        self.effort = effort
        self.count = effort.batches

    def warm_up(self) -> None:
        """Start workers, fill caches."""
        exhaust(self.batches(self.effort.warm))

    def __call__(self) -> float:
        """Seconds a batch; of a longer block where so many batches are quickly made."""
        while True:
            seconds = self._measure()
            long_enough = seconds * self.count >= self.effort.block / 2
            self.count = max(self.effort.batches, math.ceil(self.effort.block / seconds))
            if long_enough:
                return seconds

    def _measure(self) -> float:
        batches = self.batches(SKIPPED + self.count)
        exhaust(islice(batches, SKIPPED))
        start = time.perf_counter()
        exhaust(islice(batches, self.count))
        seconds = (time.perf_counter() - start) / self.count
        exhaust(batches)
        return seconds


def exhaust(iterator: Iterator[object]) -> None:
    """Take everything, keep nothing."""
    deque(iterator, maxlen=0)


def pixel_files(photos: Sequence[Photo], store: Path, folder: Path) -> dict[bool, peers.Pixels]:
    """The photos as two memory-mapped arrays: whether colours lie innermost, to the array."""
    packed = PackedStore(store)
    planes = np.stack([packed[photo.digest].numpy() for photo in photos])
    arrays: dict[bool, peers.Pixels] = {}
    for interleaved, array in ((False, planes), (True, planes.transpose(0, 2, 3, 1))):
        path = folder / f"interleaved-{interleaved}.pixels"
        array.tofile(path)
        arrays[interleaved] = np.memmap(path, np.uint8, "r", shape=array.shape)
    return arrays


def places(photos: int) -> list[peers.Place]:
    """Random patches."""
    rng = np.random.default_rng(SEED)
    highest = (photos, HEIGHT - PATCH + 1, WIDTH - PATCH + 1, 8)
    return [peers.Place(*map(int, numbers)) for numbers in rng.integers(highest, size=(PLACES, 4))]


def bare_loops(arrays: Mapping[bool, peers.Pixels], effort: Effort) -> dict[str, Block]:
    """The limits: what the copies alone cost."""
    loop = partial(peers.crop_loop, arrays, places(effort.photos), PATCH, BATCH)
    planar, interleaved = partial(loop, interleaved=False), partial(loop, interleaved=True)
    regrouped = partial(interleaved, to_planes=True)
    loops = {
        BARE: planar(),
        "bare loop, planar, flips and turns": planar(turns=True),
        "bare loop, interleaved": interleaved(),
        "bare loop, interleaved, flips and turns": interleaved(turns=True),
        "bare loop, interleaved to planes": regrouped(),
        "bare loop, interleaved to planes, flips and turns": regrouped(turns=True),
    }
    return {
        name: partial(seconds_a_call, call, effort, 1, lambda: None) for name, call in loops.items()
    }


# The sections


def loaders(
    photos: Sequence[Photo], folder: Path, store: Path
) -> dict[str, Callable[[], peers.Batches]]:
    """All that give batches to a training."""
    packed = partial(srlit_batches, photos, store=store)
    plain = partial(srlit_batches, photos, store=None)
    basicsr = {"patch_size": PATCH, "batch_size": BATCH, "workers": WORKERS}

    def from_lmdb() -> peers.Batches:
        write = partial(peers.write_lmdb, folder / "hr", folder / "lr")
        lmdb = once(folder.with_name(f"{folder.name}-lmdb"), write)
        return peers.basicsr_lmdb(lmdb, **basicsr)

    return {
        "srlit, packed": partial(packed, workers=None),
        "srlit, packed, flips and floats on the CPU": lambda: on_cpu(packed(workers=None)),
        "srlit, packed, 1 worker": partial(packed, workers=1),
        "srlit, packed, 2 workers": partial(packed, workers=2),
        "srlit, folder": partial(plain, workers=None),
        "srlit, folder, 2 workers": partial(plain, workers=2),
        "srlit, folder, all fit into 512 MB": partial(plain, workers=None, cache_mb=512),
        "BasicSR, LMDB, 2 workers": from_lmdb,
        "BasicSR, folder, 2 workers": partial(
            peers.basicsr_folder, folder / "hr", folder / "lr", **basicsr
        ),
    }


def patches(effort: Effort) -> list[Row]:
    """Patches as they reach the training step."""
    section = f"{PATCH} x {PATCH} patches of {effort.photos} photos, batches of {BATCH}, steady"
    folder = photo_folder(effort.photos)
    with scratch() as temporary:
        store = temporary / "store"
        photos = check(sorted((folder / "hr").iterdir()), store=store).photos
        ready, missing = gather(section, loaders(photos, folder, store))
        ours_and_theirs = {name: LoaderBlock(batches, effort) for name, batches in ready.items()}
        for block in ours_and_theirs.values():
            block.warm_up()
        bare = bare_loops(pixel_files(photos, store, temporary), effort)
        blocks = take_turns({**ours_and_theirs, **bare}, effort.rounds)
    rows = timed_rows(section, blocks, rate(BATCH, "patches"))
    for row in rows:
        shares = [least / own for own, least in zip(row.blocks, blocks[BARE], strict=True)]
        row.note = f"{cell(100 * statistics.median(shares))} % of the bare loop"
    return rows + missing


def one_go(call: Callable[[], object], clean: Callable[[], object]) -> Block:
    """A block of one call; what it leaves behind is removed on nobody's time."""

    def block() -> float:
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
        clean()
        return seconds

    return block


def packing(effort: Effort) -> list[Row]:
    """What writing the pixels adds to decoding them."""
    paths = sorted((photo_folder(effort.photos) / "hr").iterdir())
    section = f"decoding {len(paths)} photos once, {cores()} processes"
    shape = len(paths), 3, HEIGHT, WIDTH
    pixels = np.random.default_rng(SEED).integers(256, size=shape, dtype=np.uint8)
    with scratch() as temporary:
        store, file = temporary / "store", temporary / "pixels"
        contestants: dict[str, Call] = {
            "audit": partial(check, paths),
            PACKING: partial(check, paths, store=store),
            "Pillow's decoder alone": partial(peers.decode_all, paths, cores()),
            WRITING: partial(peers.write_all, pixels, file),
        }

        def clean() -> None:
            shutil.rmtree(store, ignore_errors=True)
            file.unlink(missing_ok=True)

        goes = {name: one_go(call, clean) for name, call in contestants.items()}
        take_turns(goes, 1)
        blocks = take_turns(goes, effort.rounds)
    rows = timed_rows(section, blocks, milliseconds(len(paths), "photo"))
    for row in rows:
        if row.name in {PACKING, WRITING}:
            row.note = f"{cell(pixels.nbytes / statistics.median(row.blocks) / 1e6)} MB/s written"
    return rows


def start(effort: Effort) -> list[Row]:
    """What a training waits for where nothing has changed since the last one."""
    paths = small_photos()[: effort.files]
    section = f"start with {len(paths)} files that are known"
    with scratch() as temporary:
        cache, store = temporary / "cache", temporary / "store"
        check(paths, cache=cache, store=store)
        calls: dict[str, Call] = {
            "audit": partial(check, paths, cache=cache),
            "audit, packed": partial(check, paths, cache=cache, store=store),
            "opening the packed store": partial(PackedStore, store),
            "asking for size and time of the files alone": lambda: [path.stat() for path in paths],
        }
        blocks = race(calls, effort)
        shards = len(list(store.iterdir()))
    rows = timed_rows(section, blocks, milliseconds(1, "start"))
    rows[2].note = f"{shards} shards"
    return rows


SECTIONS: dict[str, Callable[[Effort], list[Row]]] = {
    "patches": patches,
    "packing": packing,
    "start": start,
}


def main() -> None:
    """Measure, print, store."""
    parser = make_parser(__doc__, SECTIONS, "one round, few photos")
    args = parser.parse_args()
    quieten()
    keep_freed_memory()  # as every command of srlit does; for the peers too
    effort = QUICK if args.quick else FULL
    about = {"cores": cores(), "effort": asdict(effort)}
    report(args, lambda section: SECTIONS[section](effort), about)


if __name__ == "__main__":
    main()

"""How exact and how fast is srlit's degradation engine, compared with others in the same run?

Five sections, each of which `--sections` can choose:

    correctness  the tensor JPEG codec against Pillow's, `bicubic` against MATLAB's files of set5
    speed        `blind` at scale 2 on a CPU against kornia, OpenCV and a bare copy of the memory;
                 its JPEG and its photon noise by themselves
    kornia       blur, resize, noise and JPEG of kornia's augmentations, as stages of `kornia`,
                 against srlit's own stages with the same settings: exactness and speed
    realesrgan   `realesrgan` at scale 4 on a CPU against Real-ESRGAN's own code, and the sharpening
    gpu          both presets on a GPU: samples a second, and how often the host waits for it

The peers are in `degradation_peers.py`. Kornia comes with srlit's development tools; the others,
kept apart from srlit's environment:

    pip install --no-deps --no-build-isolation --target build/peers \
        basicsr==1.4.2 realesrgan==0.3.0 opencv-python-headless

What is missing is left out, and the line printed instead says how to get it. Photos come from the
folder that SRLIT_DATA names (`bsd100`, `set5/x2/HR`, `set5/x2/LR` ...), else from scikit-image, as
do all where a photo must have 400 pixels a side.

    SRLIT_DATA=... python benchmarks/degradation.py --json degradation.json

`times` is the time of a row as a multiple of its table's first row, which is srlit's: 2 means that
srlit needs half as long. Machines are noisy, so contestants take turns in rounds of blocks; a block
is calls for half a second, at least one of them (two where the cost depends on what is drawn). A
row's value is its median block, `times` the median of the rounds' ratios, `min` and `max` the
extremes of these, and `of means` the ratio of the sums of all blocks, which is what counts over a
training where cost is drawn. Nothing is asserted: the tests do that. In full it takes about 5
minutes on two cores, nearly all of them Real-ESRGAN's, and with `--quick` less than one.
"""

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import get_args

import degradation_peers as peers
import kornia
import torch
from common.photos import data_folder, photos_of, sample_photos
from common.race import Call, Factory, gather, race
from common.race import Effort as CommonEffort
from common.results import Row, cell, make_parser, milliseconds, rate, report, timed_rows
from hydra import compose, initialize_config_dir
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

from srlit.config import CONF_DIR, build, quieten
from srlit.data.decode import pixels_of, read_photo
from srlit.degradation.kernels import GaussianKernel
from srlit.degradation.noise_kinds import GaussianNoise
from srlit.degradation.pipeline import Degradation
from srlit.degradation.stage import Stage
from srlit.degradation.stages.add_noise import Noise
from srlit.degradation.stages.blur import Blur
from srlit.degradation.stages.decimate import Decimate
from srlit.degradation.stages.jpeg_compression import Jpeg
from srlit.degradation.stages.kornia_resize import KorniaResize
from srlit.degradation.stages.kornia_stage import KorniaStage
from srlit.ops import file_codecs as codecs
from srlit.ops.jpeg import Subsampling, jpeg
from srlit.ops.malloc import keep_freed_memory
from srlit.ops.noise import poisson_noise
from srlit.ops.ragged_batch import RaggedBatch
from srlit.ops.rng import RowGenerator, make_keys, pixel_field

SEED = 1
QUALITIES = (30, 60, 75, 90)
BATCH, HR_SIZE = 16, 256
REALESRGAN_SIZE, REALESRGAN_SCALE, REALESRGAN_CROP = 400, 4, 256
GPU_BATCH, GPU_CALLS = 64, 10
# Where a photo is cut, as shares of what is left over; the centre first.
PLACES = ((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0))

Images = Float[Tensor, "n 3 h w"]


@dataclass(frozen=True)
class Effort(CommonEffort):
    """How much is measured.

    Args:
        draws: calls in a block, at least, where cost depends on what is drawn.
        photos: on which JPEG is compared.
        batch: images of 400 x 400.
    """

    draws: int
    photos: int
    batch: int


FULL = Effort(rounds=6, block=0.5, draws=2, photos=20, batch=12)
QUICK = Effort(rounds=2, block=0.1, draws=1, photos=5, batch=4)


def preset(name: str, scale: int) -> Degradation:
    """A degradation of `conf/degradation`."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return build(compose("train", [f"degradation={name}", f"scale={scale}"]).degradation)


@lru_cache(maxsize=1)
def photo_paths() -> list[Path]:
    """The photos of BSD100, where they are, then those of scikit-image."""
    return photos_of("bsd100") + sample_photos()


def crops(count: int, size: int) -> Images:
    """Squares out of different photos; where these are too few, out of different places."""
    squares: list[Tensor] = []
    for down, right in PLACES:
        for path in photo_paths():
            photo = read_photo(path)
            top, left = (
                round(d * (n - size)) for d, n in zip((down, right), photo.shape[1:], strict=True)
            )
            if min(photo.shape[1:]) >= size:
                squares.append(photo[:, top : top + size, left : left + size])
            if len(squares) == count:
                return torch.stack(squares).float() / 255
    raise ValueError(f"found {len(squares)} squares of {size} pixels: expected {count}")


def ours(degradation: Degradation, hr: Images, *, sharpen: bool = False) -> Call:
    """Srlit's contestant: draws anew in every call, the keys included."""
    images = torch.arange(len(hr), device=hr.device)
    seeds = itertools.count(SEED)

    def run() -> Tensor:
        keys: Int64[Tensor, " n"] = make_keys(next(seeds), (), images)
        return degradation(degradation.target(hr) if sharpen else hr, keys)

    return run


# The sections


def jpeg_differences(
    photos: Iterable[Path], quality: int, subsampling: Subsampling
) -> tuple[float, float]:
    """The mean and the largest difference of the tensor codec and Pillow, in levels."""
    total, count, largest = 0.0, 0, 0.0
    for path in photos:
        photo = read_photo(path)
        file = BytesIO()
        Image.fromarray(photo.permute(1, 2, 0).numpy()).save(
            file, "JPEG", quality=quality, subsampling=subsampling
        )
        theirs = pixels_of(Image.open(file).convert("RGB")).double()
        coded = jpeg(photo[None].float() / 255, torch.tensor([quality]), subsampling=subsampling)
        difference = (coded[0].double() * 255 - theirs).round().abs()
        total, count = total + difference.sum().item(), count + difference.numel()
        largest = max(largest, difference.max().item())
    return total / count, largest


def jpeg_correctness(effort: Effort) -> list[Row]:
    """The tensor codec against Pillow's libjpeg."""
    photos = photo_paths()[: effort.photos]
    section = f"tensor JPEG against Pillow, {len(photos)} photos"
    rows = []
    for subsampling, quality in itertools.product(get_args(Subsampling), QUALITIES):
        mean, largest = jpeg_differences(photos, quality, subsampling)
        name, note = f"{subsampling}, quality {quality}", f"largest {largest:g}"
        rows.append(Row(section, name, mean, "levels", note=note))
    return rows


def bicubic_correctness() -> list[Row]:
    """`bicubic` against the files that MATLAB's imresize left."""
    section = "bicubic against MATLAB, set5"
    folder = data_folder()
    if folder is None or not (folder / "set5").is_dir():
        return [Row(section, "x2, x3, x4", note="left out: SRLIT_DATA names no folder with set5")]
    rows = []
    for scale in (2, 3, 4):
        degradation = preset("bicubic", scale)
        differences = []
        for path in sorted((folder / "set5" / f"x{scale}" / "HR").glob("*.png")):
            lr = degradation(read_photo(path)[None].float() / 255, torch.zeros(1).long())
            matlab = read_photo(path.parents[1] / "LR" / path.name)
            differences.append((lr[0] * 255 - matlab).round().abs().flatten())
        off = torch.cat(differences)
        share = 100 * (off > 1).float().mean().item()
        note = f"off at all: {100 * (off > 0).float().mean().item():g} %"
        rows.append(Row(section, f"x{scale}", share, "% off by > 1", note=note))
    return rows


def correctness(effort: Effort, _: int) -> list[Row]:
    """What is exact, and how exact."""
    return jpeg_correctness(effort) + bicubic_correctness()


def bare_copy(hr: Images, scale: int) -> Call:
    """Moves as many bytes as reading the batch once and writing its degraded images once.

    A copy reads and writes each of its bytes, so half as many are copied.
    """
    source = hr.flatten()[: (hr.numel() + hr.numel() // scale**2) // 2].clone()
    return partial(torch.empty_like(source).copy_, source)


def blind_speed(effort: Effort, threads: int) -> list[Row]:
    """`blind` against those who would build it from other libraries."""
    section = f"blind x2, CPU, {BATCH} x {HR_SIZE}"
    hr = crops(BATCH, HR_SIZE)
    opencv = partial(peers.opencv_blind, hr, SEED, threads=threads)
    factories: dict[str, Factory] = {
        "srlit": partial(ours, preset("blind", 2), hr),
        "kornia": partial(peers.kornia_blind, hr, SEED),
        "OpenCV and numpy": opencv,
        "OpenCV and numpy, 8 bits": partial(opencv, eight_bit=True),
        "bare copy: read HR, write LR": partial(bare_copy, hr, 2),
    }
    ready, missing = gather(section, factories)
    rows = timed_rows(section, race(ready, effort), milliseconds(BATCH))
    rows[-1].note = f"srlit reaches {cell(100 * (rows[-1].times or 0))} % of its speed"
    return rows + missing


def jpeg_speed(effort: Effort) -> list[Row]:
    """Both of srlit's coders; on a CPU `Jpeg` takes the first."""
    lr = crops(BATCH, HR_SIZE // 2)
    quality = torch.linspace(60, 95, BATCH).round()
    contestants = {
        "srlit, libjpeg": partial(codecs.libjpeg, lr, quality),
        "srlit, tensors": partial(jpeg, lr, quality),
    }
    section = f"JPEG 4:2:0, CPU, {BATCH} x {HR_SIZE // 2}"
    return timed_rows(section, race(contestants, effort), milliseconds(BATCH))


def noise_speed(effort: Effort) -> list[Row]:
    """Photon noise, the making of its random bits included."""
    lr = crops(BATCH, HR_SIZE // 2)
    rate = lr * torch.linspace(10, 60, BATCH).view(-1, 1, 1, 1)
    images, seeds = torch.arange(BATCH), itertools.count(SEED)
    generator = torch.Generator().manual_seed(SEED)
    shape = 3, HR_SIZE // 2, HR_SIZE // 2

    def by_table() -> Tensor:
        return poisson_noise(rate, pixel_field(make_keys(next(seeds), (), images), shape))

    contestants: dict[str, Call] = {
        "srlit, table": by_table,
        "torch.poisson": partial(torch.poisson, rate, generator=generator),
    }
    section = f"Poisson noise, CPU, {BATCH} x {HR_SIZE // 2}"
    return timed_rows(section, race(contestants, effort), milliseconds(BATCH))


def speed(effort: Effort, threads: int) -> list[Row]:
    """`blind` and two of its parts, on a CPU."""
    return blind_speed(effort, threads) + jpeg_speed(effort) + noise_speed(effort)


def kornia_stage(name: str, **settings: object) -> KorniaStage:
    """An augmentation that is applied to every sample."""
    augmentation = getattr(kornia.augmentation, name)(p=1.0, **settings)
    return KorniaStage(augmentation=augmentation, pad_to=16 if name == "RandomJPEG" else 1)


def pairs_of_stages(sigma: float, noise: float, quality: int) -> dict[str, tuple[Stage, Stage]]:
    """Srlit's and kornia's stage of the same settings."""
    kernel = GaussianKernel(sizes=[7], sigma=[sigma, sigma])
    blur = kornia_stage(
        "RandomGaussianBlur", kernel_size=7, sigma=[sigma, sigma], border_type="replicate"
    )
    added = Noise(kinds=[GaussianNoise(sigma=[noise, noise])])
    return {
        "blur": (Blur(kernels=[kernel]), blur),
        "resize, bilinear": (
            Decimate(scale=2, kinds=["bilinear"]),
            KorniaResize(scale=2, kinds=["bilinear"]),
        ),
        "resize, bicubic": (
            Decimate(scale=2, kinds=["bicubic"]),
            KorniaResize(scale=2, kinds=["bicubic"]),
        ),
        "resize, area": (Decimate(scale=2, kinds=["area"]), KorniaResize(scale=2, kinds=["area"])),
        "noise": (added, kornia_stage("RandomGaussianNoise", std=noise / 255)),
        "JPEG": (
            Jpeg(quality=[quality, quality]),
            kornia_stage("RandomJPEG", jpeg_quality=[float(quality), float(quality)]),
        ),
    }


def staged(stage: Stage, hr: Images) -> Callable[[], Tensor]:
    """A stage on a batch, with new draws in every call."""
    seeds = itertools.count(SEED)

    def run() -> Tensor:
        rows = RowGenerator(make_keys(next(seeds), (), torch.arange(len(hr))))
        return stage.apply(RaggedBatch.of(hr), stage.sample(rows)).pixels

    return run


def kornia_exactness(hr: Images) -> list[Row]:
    """How far kornia's stages are from srlit's; noise by its standard deviation."""
    section = f"kornia's stages against srlit's, {len(hr)} x {hr.shape[-1]}"
    rows = []
    for quality in QUALITIES:
        for name, (own, other) in pairs_of_stages(1.0, 10.0, quality).items():
            if name != "JPEG" and quality != QUALITIES[0]:
                continue
            ours, theirs = staged(own, hr)(), staged(other, hr)()
            if name == "noise":
                grey = torch.full_like(hr, 0.5)
                std = [(staged(stage, grey)() * 255).std().item() for stage in (own, other)]
                note = f"srlit {std[0]:.3f}, kornia {std[1]:.3f} of 10"
                rows.append(Row(section, name, std[1] / std[0], "ratio of std", note=note))
                continue
            off = (ours - theirs).abs() * 255
            title = f"{name} {quality}" if name == "JPEG" else name
            note = f"largest {off.max().item():.3g}"
            rows.append(Row(section, title, off.mean().item(), "levels", note=note))
    return rows


def kornia_section(effort: Effort, _: int) -> list[Row]:
    """Both engines: exactness, then each stage's time on a CPU."""
    hr = crops(BATCH, HR_SIZE)
    rows = kornia_exactness(hr[: effort.batch])
    for name, (own, other) in pairs_of_stages(1.0, 10.0, 75).items():
        section = f"{name}, CPU, {BATCH} x {HR_SIZE}"
        blocks = race({"srlit": staged(own, hr), "kornia's stage": staged(other, hr)}, effort)
        rows += timed_rows(section, blocks, milliseconds(BATCH))
    return rows


def realesrgan_contestants(hr: Images) -> dict[str, Factory]:
    """Srlit's preset with its sharpening, and Real-ESRGAN's own code with and without its crop."""
    feed = partial(peers.realesrgan_feed_data, hr, SEED, scale=REALESRGAN_SCALE)
    degradation = preset("realesrgan", REALESRGAN_SCALE)
    return {
        "srlit": partial(ours, degradation, hr, sharpen=True),
        "feed_data": feed,
        f"feed_data, gt_size {REALESRGAN_CROP}": partial(feed, gt_size=REALESRGAN_CROP),
    }


def realesrgan(effort: Effort, _: int) -> list[Row]:
    """`realesrgan` and its sharpening, on a CPU."""
    hr = crops(effort.batch, REALESRGAN_SIZE)
    size = f"CPU, {effort.batch} x {REALESRGAN_SIZE}"
    section = f"realesrgan x{REALESRGAN_SCALE}, {size}"
    ready, missing = gather(section, realesrgan_contestants(hr))
    blocks = race(ready, effort, least=effort.draws)
    rows = timed_rows(section, blocks, milliseconds(len(hr))) + missing
    section = f"sharpening, {size}"
    sharpen = partial(preset("realesrgan", REALESRGAN_SCALE).target, hr)
    factories: dict[str, Factory] = {
        "srlit": lambda: sharpen,
        "USMSharp": partial(peers.realesrgan_usm, hr),
    }
    ready, missing = gather(section, factories)
    return rows + timed_rows(section, race(ready, effort), milliseconds(len(hr))) + missing


def host_waits(call: Call) -> int:
    """How often so many calls make the host wait for the GPU, as torch counts it."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in range(GPU_CALLS):
                call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(warning.message) for warning in seen)


def gpu_rows(section: str, factories: Mapping[str, Factory], effort: Effort) -> list[Row]:
    """Samples a second, and the waits of later calls."""
    ready, missing = gather(section, factories)
    blocks = race(ready, effort, least=GPU_CALLS, wait=torch.cuda.synchronize)
    rows = timed_rows(section, blocks, rate(GPU_BATCH))
    for row in rows:
        row.note = f"host waits in {GPU_CALLS} calls: {host_waits(ready[row.name])}"
    return rows + missing


def gpu(effort: Effort, _: int) -> list[Row]:
    """Both presets on a GPU; a call must not wait for it."""
    if not torch.cuda.is_available():
        return [Row("on a GPU", "blind, realesrgan", note="left out: no GPU here")]
    hr = crops(BATCH, HR_SIZE).repeat(GPU_BATCH // BATCH, 1, 1, 1).cuda()
    blind: dict[str, Factory] = {
        "srlit": partial(ours, preset("blind", 2), hr),
        "kornia": partial(peers.kornia_blind, hr, SEED),
        "srlit, preset kornia": partial(ours, preset("kornia", 2), hr),
    }
    rows = gpu_rows(f"blind x2, GPU, {GPU_BATCH} x {HR_SIZE}", blind, effort)
    hr = crops(BATCH, REALESRGAN_SIZE).repeat(GPU_BATCH // BATCH, 1, 1, 1).cuda()
    section = f"realesrgan x{REALESRGAN_SCALE}, GPU, {GPU_BATCH} x {REALESRGAN_SIZE}"
    return rows + gpu_rows(section, realesrgan_contestants(hr), effort)


SECTIONS: dict[str, Callable[[Effort, int], list[Row]]] = {
    "correctness": correctness,
    "speed": speed,
    "kornia": kornia_section,
    "realesrgan": realesrgan,
    "gpu": gpu,
}


def main() -> None:
    """Measure, print, store."""
    parser = make_parser(__doc__, SECTIONS, "few rounds, small batches")
    parser.add_argument("--threads", type=int, default=2, help="of torch, and of OpenCV's pool")
    args = parser.parse_args()
    quieten()
    keep_freed_memory()  # as every command of srlit does; for the peers too
    torch.set_num_threads(args.threads)
    effort = QUICK if args.quick else FULL

    def run(section: str) -> list[Row]:
        with torch.no_grad():
            return SECTIONS[section](effort, args.threads)

    report(args, run, {"threads": args.threads, "effort": asdict(effort)})


if __name__ == "__main__":
    main()

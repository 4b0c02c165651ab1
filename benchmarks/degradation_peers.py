"""Other people's ways of degrading a batch, to set srlit's engine beside.

Two are the preset of `conf/degradation/blind.yaml` at scale 2, built from kornia and from OpenCV
with numpy as their users would build it; one is Real-ESRGAN's own code. Each factory prepares all
that is prepared once and gives a function without arguments that draws and degrades the batch once;
every call draws anew. A factory whose packages are missing raises `MissingPeerError`, which names
the command that installs them. Real-ESRGAN and OpenCV are best kept apart from srlit's
environment, in a folder that this module searches after everything else:

    pip install --no-deps --no-build-isolation --target build/peers \
        basicsr==1.4.2 realesrgan==0.3.0 opencv-python-headless

`--no-deps` keeps them from bringing another torch, numpy or OpenCV; what else they import, srlit
depends on already.
"""

import itertools
import random
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common.peers import import_basicsr, import_peer
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

Run = Callable[[], Tensor]
KindFunction = Callable[[Tensor, Tensor], Tensor]
Image = NDArray[Any]

KORNIA_HINT = "pip install kornia"
OPENCV_HINT = "pip install --no-deps --target build/peers opencv-python-headless"
REALESRGAN_HINT = (
    "pip install --no-deps --no-build-isolation --target build/peers "
    "basicsr==1.4.2 realesrgan==0.3.0 opencv-python-headless"
)

# conf/degradation/blind.yaml
GAUSSIAN_SIZES = (3, 5, 7)
BOX_SIZES = (3, 5)
BLUR_SIGMA = (0.2, 1.2)
SHRINKS = ("bilinear", "bicubic", "area")
NOISE_SIGMA = (1.0, 15.0)
PHOTONS = (10.0, 60.0)
JPEG_P = 0.8
JPEG_QUALITY = (60, 95)

# Real-ESRGAN's options/train_realesrgan_x4plus.yml: what `feed_data` and the dataset read.
KERNEL_KINDS = (
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso",
)  # fmt: skip
KERNEL_PROBABILITIES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
FEED_OPTIONS = {
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.15, 1.5],
    "gaussian_noise_prob": 0.5,
    "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3],
    "gray_noise_prob": 0.4,
    "jpeg_range": [30, 95],
    "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3],
    "resize_range2": [0.3, 1.2],
    "gaussian_noise_prob2": 0.5,
    "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5],
    "gray_noise_prob2": 0.4,
    "jpeg_range2": [30, 95],
}
DATASET_OPTIONS = {
    "blur_kernel_size": 21,
    "kernel_list": list(KERNEL_KINDS),
    "kernel_prob": list(KERNEL_PROBABILITIES),
    "sinc_prob": 0.1,
    "blur_sigma": [0.2, 3],
    "betag_range": [0.5, 4],
    "betap_range": [1, 2],
    "blur_kernel_size2": 21,
    "kernel_list2": list(KERNEL_KINDS),
    "kernel_prob2": list(KERNEL_PROBABILITIES),
    "sinc_prob2": 0.1,
    "blur_sigma2": [0.2, 1.5],
    "betag_range2": [0.5, 4],
    "betap_range2": [1, 2],
    "final_sinc_prob": 0.8,
    "use_hflip": True,
    "use_rot": False,
}


def _uniform(n: int, bounds: tuple[float, float], source: torch.Generator) -> Float[Tensor, " n"]:
    """Draw n numbers in [low, high) on the host."""
    low, high = bounds
    return torch.rand(n, generator=source) * (high - low) + low


def _coins(n: int, p: float, source: torch.Generator) -> Bool[Tensor, " n"]:
    """Draw n coins on the host, True with probability p."""
    return torch.rand(n, generator=source) < p


def _per_sample(values: Float[Tensor, " n"], like: Tensor) -> Float[Tensor, "n 1 1 1"]:
    """Numbers of the host, beside the images they belong to."""
    return values.to(like.device, non_blocking=True).view(-1, 1, 1, 1)


def _by_kind(
    x: Float[Tensor, "n 3 h w"],
    out: Float[Tensor, "n 3 oh ow"],
    kind: Int64[Tensor, " n"],
    functions: Sequence[KindFunction],
) -> Float[Tensor, "n 3 oh ow"]:
    """Write `functions[kind[i]]` of image i into `out`; other rows of `out` stay as they are.

    Args:
        x: images.
        out: where the results go; may be `x` itself.
        kind: which function an image takes, on the host; -1 for none.
        functions: each takes images (m, 3, h, w) and their m row numbers on the host.

    Returns:
        `out`.
    """
    for index, function in enumerate(functions):
        rows = (kind == index).nonzero().flatten()
        if len(rows):
            there = rows.to(x.device, non_blocking=True)
            out.index_copy_(0, there, function(x.index_select(0, there), rows))
    return out


class _KorniaBlind:
    """The blind preset from kornia's functions.

    Which kind an image takes and how strong it is, is drawn on the host, so that choosing rows
    never waits for the device; noise is drawn where the images are.

    Args:
        seed: of both generators.
        device: where the images are.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.filters = import_peer("kornia.filters", KORNIA_HINT)
        self.transform = import_peer("kornia.geometry.transform", KORNIA_HINT)
        self.enhance = import_peer("kornia.enhance", KORNIA_HINT)
        self.host = torch.Generator().manual_seed(seed)
        self.field = torch.Generator(device).manual_seed(seed)

    def blur(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Gaussian or box, grouped by family and size, which kornia has one of a call."""
        n = len(x)
        sigma = _uniform(n, BLUR_SIGMA, self.host)[:, None].expand(n, 2)
        gaussian = torch.randint(len(GAUSSIAN_SIZES), (n,), generator=self.host)
        box = torch.randint(len(BOX_SIZES), (n,), generator=self.host) + len(GAUSSIAN_SIZES)
        kind = torch.where(_coins(n, 0.5, self.host), gaussian, box)

        def gaussian_of(size: int) -> KindFunction:
            return lambda part, rows: self.filters.gaussian_blur2d(
                part, size, sigma[rows], border_type="replicate"
            )

        def box_of(size: int) -> KindFunction:
            return lambda part, _: self.filters.box_blur(part, size, border_type="replicate")

        functions = [*map(gaussian_of, GAUSSIAN_SIZES), *map(box_of, BOX_SIZES)]
        return _by_kind(x, torch.empty_like(x), kind, functions)

    def shrink(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h/2 w/2"]:
        """Half the size without antialiasing, grouped by the interpolation."""
        n, c, h, w = x.shape
        size = h // 2, w // 2
        kind = torch.randint(len(SHRINKS), (n,), generator=self.host)

        def shrink_by(interpolation: str) -> KindFunction:
            return lambda part, _: self.transform.resize(part, size, interpolation)

        return _by_kind(x, x.new_empty(n, c, *size), kind, [*map(shrink_by, SHRINKS)])

    def noise_and_jpeg(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Noise before JPEG or after it, by a coin an image; changes `x` in place."""
        n = len(x)
        sigma = _uniform(n, NOISE_SIGMA, self.host) / 255
        photons = _uniform(n, PHOTONS, self.host)
        kind = torch.randint(2, (n,), generator=self.host)
        first = _coins(n, 0.5, self.host)
        unused = torch.full((n,), -1)
        low, high = JPEG_QUALITY
        quality = torch.randint(low, high + 1, (n,), generator=self.host).float()
        compressed = torch.where(_coins(n, JPEG_P, self.host), 0, unused)

        def add_gaussian(part: Tensor, rows: Tensor) -> Tensor:
            z = torch.randn(part.shape, generator=self.field, device=part.device)
            return part + _per_sample(sigma[rows], part) * z

        def add_poisson(part: Tensor, rows: Tensor) -> Tensor:
            scale = _per_sample(photons[rows], part)
            return torch.poisson(part.clamp(0, 1) * scale, generator=self.field) / scale

        def code(part: Tensor, rows: Tensor) -> Tensor:
            return self.enhance.jpeg_codec_differentiable(part.clamp(0, 1), quality[rows])

        noises = [add_gaussian, add_poisson]
        x = _by_kind(x, x, torch.where(first, kind, unused), noises)
        x = _by_kind(x, x, compressed, [code])
        return _by_kind(x, x, torch.where(first, unused, kind), noises)


def kornia_blind(batch: Float[Tensor, "n 3 h w"], seed: int) -> Run:
    """The blind preset from kornia's functions, every parameter drawn per sample.

    `gaussian_blur2d` (a sigma a sample) and `box_blur`, grouped by size; `resize`, grouped by
    interpolation; Gaussian noise by `torch.randn` and photons by `torch.poisson`;
    `jpeg_codec_differentiable` with a quality a sample. Kornia's codec works on real numbers and
    rounds by a polynomial; it is the only batched one kornia has. The border pixel is repeated, as
    in the preset. Where an image takes none of a step, its pixels are not touched.

    Args:
        batch: images in [0, 1], on any device, sizes even; not changed.
        seed: of the generators; call after call goes on with their streams.

    Returns:
        A function that gives (n, 3, h / 2, w / 2) in [0, 1], on the 8-bit grid, on the batch's
        device.

    Raises:
        MissingPeerError: kornia is not installed.
    """
    blind = _KorniaBlind(seed, batch.device)

    def run() -> Tensor:
        with torch.no_grad():
            x = blind.noise_and_jpeg(blind.shrink(blind.blur(batch)))
            return x.clamp_(0, 1).mul_(255).round_().div_(255)

    return run


class _OpenCVBlind:
    """The blind preset for one image (h, w, 3) of levels 0 to 255, in OpenCV's BGR.

    Args:
        rng: draws everything for this image; one an image, as threads must not share it.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.cv2 = import_peer("cv2", OPENCV_HINT)
        self.rng = rng

    def __call__(self, image: Image) -> Image:
        """Degrade: levels (h, w, 3), uint8 or float32, BGR -> (h / 2, w / 2, 3), uint8, RGB."""
        cv2 = self.cv2
        h, w = image.shape[:2]
        methods = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
        method = methods[self.rng.integers(len(methods))]
        small = cv2.resize(self.blur(image), (w // 2, h // 2), interpolation=method)
        if self.rng.random() < 0.5:
            small = self.jpeg(self.noise(small))
        else:
            small = self.noise(self.jpeg(small))
        return cv2.cvtColor(_eight_bit(small), cv2.COLOR_BGR2RGB)

    def blur(self, levels: Image) -> Image:
        """Gaussian or box; the border pixel is repeated."""
        border = self.cv2.BORDER_REPLICATE
        if self.rng.random() < 0.5:
            size, sigma = int(self.rng.choice(GAUSSIAN_SIZES)), self.rng.uniform(*BLUR_SIGMA)
            return self.cv2.GaussianBlur(levels, (size, size), sigma, borderType=border)
        size = int(self.rng.choice(BOX_SIZES))
        return self.cv2.blur(levels, (size, size), borderType=border)

    def noise(self, levels: Image) -> Image:
        """Gaussian or Poisson; gives float32 levels that may leave 0 to 255."""
        levels = levels.astype(np.float32)
        if self.rng.random() < 0.5:
            z = self.rng.standard_normal(levels.shape, dtype=np.float32)
            return levels + np.float32(self.rng.uniform(*NOISE_SIGMA)) * z
        photons = np.float32(self.rng.uniform(*PHOTONS) / 255)
        counts = self.rng.poisson(np.clip(levels, 0, 255) * photons)
        return counts.astype(np.float32) / photons

    def jpeg(self, levels: Image) -> Image:
        """Encode and decode with probability `JPEG_P`; then uint8, else the input as it is."""
        if self.rng.random() >= JPEG_P:
            return levels
        low, high = JPEG_QUALITY
        quality = int(self.rng.integers(low, high + 1))
        options = [self.cv2.IMWRITE_JPEG_QUALITY, quality]
        _, data = self.cv2.imencode(".jpg", _eight_bit(levels), options)
        return self.cv2.imdecode(data, self.cv2.IMREAD_COLOR)


def _eight_bit(levels: Image) -> Image:
    """Round levels to uint8, those outside 0 to 255 to the nearer end."""
    if levels.dtype == np.uint8:
        return levels
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def opencv_blind(
    batch: Float[Tensor, "n 3 h w"], seed: int, *, threads: int = 2, eight_bit: bool = False
) -> Run:
    """The blind preset from OpenCV and numpy, image by image, in a pool of threads.

    The conversion to (h, w, 3) arrays in BGR is made here, once; what is run ends with a tensor
    of the batch, as a loader's collation would. OpenCV's own threads are switched off in the whole
    process (`cv2.setNumThreads(1)`), so that images are shared out to threads and nothing else.

    Args:
        batch: images in [0, 1], sizes even; taken to the host.
        seed: every image gets a stream of its own, and call after call goes on with it.
        threads: size of the pool.
        eight_bit: blur and shrink in uint8, which is quicker and rounds after both; else in
            float32, as the preset does. If set, a batch off the 8-bit grid is rounded to it here.

    Returns:
        A function that gives (n, 3, h / 2, w / 2) in [0, 1], on the 8-bit grid, on the host.

    Raises:
        MissingPeerError: OpenCV is not installed.
    """
    cv2 = import_peer("cv2", OPENCV_HINT)
    cv2.setNumThreads(1)
    levels = (batch.detach().float().cpu() * 255).flip(1).permute(0, 2, 3, 1).contiguous().numpy()
    images = [_eight_bit(image) if eight_bit else image for image in levels]
    streams = np.random.SeedSequence(seed).spawn(len(images))
    degradations = [_OpenCVBlind(np.random.default_rng(stream)) for stream in streams]
    pool = ThreadPoolExecutor(threads)

    def one(degradation: _OpenCVBlind, image: Image) -> Image:
        return degradation(image)

    def run() -> Tensor:
        small = np.stack(list(pool.map(one, degradations, images)))
        return torch.from_numpy(small).permute(0, 3, 1, 2).contiguous().float().div_(255)

    return run


def _seed_globals(seed: int) -> None:
    """Seed the three global generators, which Real-ESRGAN's code draws from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the peer draws from the legacy generator
    torch.manual_seed(seed)


def _training_kernels(n: int, seed: int) -> dict[str, Float[Tensor, "n 21 21"]]:
    """The kernels of n training samples, drawn by Real-ESRGAN's own dataset.

    The dataset draws them while it reads a photo; it is given a black one of 400 x 400 in a folder
    that is removed again.

    Args:
        n: how many samples.
        seed: of the global generators.

    Returns:
        `kernel1`, `kernel2` and `sinc_kernel`, each of size 7 to 21, padded with zeros to 21.
    """
    peer = import_basicsr("realesrgan.data.realesrgan_dataset", REALESRGAN_HINT)
    _seed_globals(seed)
    with tempfile.TemporaryDirectory() as folder:
        photo, meta_info = Path(folder) / "black.png", Path(folder) / "meta_info.txt"
        peer.cv2.imwrite(str(photo), np.zeros((400, 400, 3), np.uint8))
        meta_info.write_text(photo.name + "\n")
        options = {
            **DATASET_OPTIONS,
            "dataroot_gt": folder,
            "meta_info": str(meta_info),
            "io_backend": {"type": "disk"},
        }
        dataset = peer.RealESRGANDataset(options)
        samples = [dataset[0] for _ in range(n)]
    names = ("kernel1", "kernel2", "sinc_kernel")
    return {name: torch.stack([sample[name] for sample in samples]) for name in names}


def realesrgan_feed_data(
    hr: Float[Tensor, "n 3 h w"], seed: int, *, scale: int = 4, gt_size: int | None = None
) -> Run:
    """Real-ESRGAN's own degradation: `RealESRGANModel.feed_data` of the `realesrgan` package.

    The options are those of its `options/train_realesrgan_x4plus.yml`. The model is made without
    its constructor, hence without networks, and given what `feed_data` reads: options, device,
    `DiffJPEG`, `USMSharp`. Not a line of `feed_data` is replaced but one call: the training pair
    pool `_dequeue_and_enqueue` does nothing here. (It copies the pair into a queue of 180 and takes
    another out, always on a GPU, to make up for a batch whose images share the size of a resize,
    the interpolations and the kind of noise.) The second sharpening, which follows the pool, is
    kept: the original pays for it in every step.

    One copy is added: what `DiffJPEG` gives is made contiguous. It has its channels innermost,
    which today's `F.pad` keeps on a CPU and the `view` in basicsr's `filter2D` then refuses.

    Kernels are drawn here, once, by the package's own dataset: in the original its workers do it
    beside the training. Everything else is drawn in every call, from the global generators of
    `random`, numpy and torch; call k seeds them with `seed + k`, so that what it draws does not
    depend on who else draws. How long a call takes depends much on the sizes it draws: average over
    many.

    Args:
        hr: images in [0, 1], on any device, 400 x 400 in the original; not changed.
        seed: of the kernels and of the first call.
        scale: by how much the result is smaller; divides h and w.
        gt_size: the random crop of the pair at the end, which the second sharpening then works
            on; the options say 256. None: h, nothing is cropped, and the second sharpening costs
            as much as the first. Without it, images must be square.

    Returns:
        A function that gives the degraded images (n, 3, gt_size / scale, gt_size / scale) in
        [0, 1], on the 8-bit grid, on the device of `hr`.

    Raises:
        MissingPeerError: `realesrgan`, `basicsr` or OpenCV is not installed.
    """
    peer = import_basicsr("realesrgan.models.realesrgan_model", REALESRGAN_HINT)
    model = peer.RealESRGANModel.__new__(peer.RealESRGANModel)
    codec = peer.DiffJPEG(differentiable=False).to(hr.device)

    def jpeger(x: Tensor, *, quality: Tensor) -> Tensor:
        return codec(x, quality).contiguous()

    vars(model).update(
        opt={**FEED_OPTIONS, "scale": scale, "gt_size": gt_size or hr.shape[-1]},
        device=hr.device,
        is_train=True,
        jpeger=jpeger,
        usm_sharpener=peer.USMSharp().to(hr.device),
        _dequeue_and_enqueue=lambda: None,
    )
    data = {"gt": hr, **_training_kernels(len(hr), seed)}
    seeds = itertools.count(seed)

    def run() -> Tensor:
        _seed_globals(next(seeds))
        model.feed_data(data)
        return model.lq

    return run


def realesrgan_usm(hr: Float[Tensor, "n 3 h w"]) -> Run:
    """Real-ESRGAN's sharpening alone: `USMSharp` of `basicsr`, two 51 x 51 Gaussians.

    Args:
        hr: images in [0, 1], on any device; not changed.

    Returns:
        A function that gives the sharpened images (n, 3, h, w) in [0, 1], on the device of `hr`.

    Raises:
        MissingPeerError: `realesrgan`, `basicsr` or OpenCV is not installed.
    """
    peer = import_basicsr("realesrgan.models.realesrgan_model", REALESRGAN_HINT)
    sharpen = peer.USMSharp().to(hr.device)

    def run() -> Tensor:
        with torch.no_grad():
            return sharpen(hr)

    return run

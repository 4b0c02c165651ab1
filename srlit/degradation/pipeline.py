"""A preset: stages in order, whose draws form a table that can be recorded and replayed."""

from collections.abc import Mapping
from fractions import Fraction

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.degradation.stage import FULL_SIZE, Configured, Stage
from srlit.degradation.stages.combine import Sequential
from srlit.ops.compute_precision import float64_device, full_precision
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.rng import RowGenerator
from srlit.types import Count

# Interpolation and sharpening overshoot [0, 1] a little; images of 0 to 255 by far more.
MAX_OVERSHOOT = 0.5


class Degradation(Configured):
    """A preset: stages in order.

    Args:
        name: the preset's name, for reports.
        scale: by how much all stages together shrink an image.
        stages: name to stage, in order of application.
        sharpen: sharpens the training target, which is then degraded too.
    """

    name: str
    scale: Count
    stages: Mapping[str, Stage]
    sharpen: Stage | None = None

    def __post_init__(self) -> None:
        self.chain = Sequential(stages=self.stages)
        size = self.chain.relative_size_after(FULL_SIZE)
        if size != Fraction(1, self.scale):
            found = "to sizes that vary" if size is None else f"by {float(1 / size):g}"
            raise ValueError(
                f"degradation {self.name!r} shrinks {found}, but scale={self.scale}: "
                "exactly one stage must carry the scale, or a last Resize with factors [[1, 1]]"
            )

    def sample(self, keys: Int64[Tensor, " n"]) -> Params:
        """Draw every stage's parameters, one row per key; row i depends on key i alone."""
        keys = keys.to(float64_device(keys.device))
        with full_precision(keys.device):
            return self.chain.sample(RowGenerator(keys))

    def apply(self, hr: Float[Tensor, "n _ h w"], draws: Params) -> Float[Tensor, "n 3 oh ow"]:
        """Degrade with recorded draws.

        Args:
            hr: RGB images in [0, 1], (n, 3, h, w), whose sizes are multiples of the scale. float64
                images are degraded in float64, where devices agree on the 8-bit result; those of
                a device without float64 are degraded on the CPU.
            draws: from `sample` or `from_records`, for the same number of images, on any device.

        Returns:
            Degraded images in [0, 1], float32.

        Raises:
            ValueError: the images are none of these, or do not suit a stage, which is named.
        """
        x = _at_home(hr)
        own = {name: value.to(x.device) for name, value in draws.items()}
        try:
            check_images(hr, self.scale, first_stage=next(iter(self.stages)))
            with full_precision(x.device):
                batch = self.chain.apply(RaggedBatch.of(x), own)
        except ValueError as error:
            raise ValueError(f"degradation {self.name!r}: {error}") from error
        h, w = hr.shape[-2:]
        pixels = batch.pixels.clone() if batch.pixels is hr else batch.pixels
        lr = pixels[..., : h // self.scale, : w // self.scale].float().contiguous()
        return lr.to(hr.device)

    def __call__(
        self, hr: Float[Tensor, "n _ h w"], keys: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n 3 oh ow"]:
        """Draw and apply."""
        return self.apply(hr, self.sample(keys))

    def target(self, hr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The training target: the image, sharpened where the preset says so."""
        if self.sharpen is None:
            return hr
        x = _at_home(hr)
        with full_precision(x.device):
            return self.sharpen.apply(RaggedBatch.of(x), {}).pixels.to(hr.device)


def _at_home(x: Tensor) -> Tensor:
    """On a device with float64; float64 stays, everything else becomes float32."""
    return x.to(float64_device(x.device), torch.promote_types(x.dtype, torch.float32))


def check_images(hr: Tensor, scale: int, first_stage: str) -> None:
    """Raise ValueError where images are not finite RGB in [0, 1], or not multiples of the scale.

    Values are checked on a CPU only: another device would have to be waited for.
    """
    where = f"input of stage {first_stage!r}"
    if hr.dim() != 4 or hr.shape[1] != 3:
        raise ValueError(f"{where}: shape {tuple(hr.shape)}: expected (n, 3, h, w)")
    h, w = hr.shape[-2:]
    if h % scale or w % scale or min(h, w) < scale:
        raise ValueError(f"{where}: {h}x{w} pixels: expected multiples of scale={scale}")
    if not hr.is_cpu or hr.numel() == 0:
        return
    low, high = (value.item() for value in torch.aminmax(hr))
    if not (-MAX_OVERSHOOT <= low <= high <= 1 + MAX_OVERSHOOT):
        raise ValueError(f"{where}: values from {low:g} to {high:g}: expected 0 to 1")

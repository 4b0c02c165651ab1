"""A degradation is a chain of stages; its draws are a table that can be recorded and replayed."""

from collections.abc import Mapping
from fractions import Fraction

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.degradation.combine import WHOLE, Sequential
from srlit.degradation.stages import Stage
from srlit.ops.precision import float64_device, full_precision
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.rng import RowGenerator

# Interpolation and sharpening may leave [0, 1] by a little; levels of 0 to 255 leave it by far.
MOST_OUTSIDE = 0.5


class Degradation:
    """A preset: stages in order.

    Args:
        name: the preset's name, for reports.
        scale: by how much the stages shrink an image together.
        stages: name to stage, in order of application.
        sharpen: what sharpens the target of a training pair, from which the input is made too.
    """

    def __init__(
        self, *, name: str, scale: int, stages: Mapping[str, Stage], sharpen: Stage | None = None
    ) -> None:
        self.name = name
        self.scale = scale
        self.chain = Sequential(stages=stages)
        self.sharpen = sharpen
        share = self.chain.share_after(WHOLE)
        if share != Fraction(1, scale):
            found = "to sizes that vary" if share is None else f"by {float(1 / share):g}"
            msg = (
                f"degradation {name!r} shrinks {found}, but scale={scale}: "
                "exactly one stage must carry the scale, or a last Resize with factors [[1, 1]]"
            )
            raise ValueError(msg)

    def sample(self, keys: Int64[Tensor, " n"]) -> Params:
        """Draw every stage's parameters, a row a key; row i depends on key i alone."""
        keys = keys.to(float64_device(keys.device))
        with full_precision(keys.device):
            return self.chain.sample(RowGenerator(keys))

    def apply(self, hr: Float[Tensor, "n _ h w"], draws: Params) -> Float[Tensor, "n 3 oh ow"]:
        """Degrade with recorded draws.

        Args:
            hr: RGB images in [0, 1], (n, 3, h, w), whose sizes are multiples of the scale. Where
                they are float64 so is everything on the way, and devices agree on the 8-bit result.
                A device without float64 has its images degraded on the CPU.
            draws: from `sample` or `from_records`, for the same number of images, on any device.

        Returns:
            Degraded images in [0, 1], float32.

        Raises:
            ValueError: the images are not such, or do not suit a stage, which is named.
        """
        home = float64_device(hr.device)
        own = {name: value.to(home) for name, value in draws.items()}
        try:
            self._check(hr)
            with full_precision(home):
                canvas = self.chain.apply(RaggedBatch.of(in_full(hr.to(home))), own)
        except ValueError as error:
            msg = f"degradation {self.name!r}: {error}"
            raise ValueError(msg) from error
        h, w = hr.shape[-2:]
        pixels = canvas.pixels.clone() if canvas.pixels is hr else canvas.pixels
        lr = pixels[..., : h // self.scale, : w // self.scale].float().contiguous()
        return lr.to(hr.device)

    def _check(self, hr: Tensor) -> None:
        """`check_images`, with the name of the stage that would have received them."""
        try:
            check_images(hr, self.scale)
        except ValueError as error:
            msg = f"input of stage {next(iter(self.chain.stages))!r}: {error}"
            raise ValueError(msg) from error

    def __call__(
        self, hr: Float[Tensor, "n _ h w"], keys: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n 3 oh ow"]:
        """Draw and apply."""
        return self.apply(hr, self.sample(keys))

    def target(self, hr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """What a training should aim at: the photo, sharpened where the preset says so."""
        if self.sharpen is None:
            return hr
        home = in_full(hr.to(float64_device(hr.device)))
        with full_precision(home.device):
            return self.sharpen.apply(RaggedBatch.of(home), {}).pixels.to(hr.device)


def in_full(x: Tensor) -> Tensor:
    """Float64 stays, all else becomes float32."""
    return x if x.dtype == torch.float64 else x.float()


def check_images(hr: Tensor, scale: int) -> None:
    """ValueError where images are no finite RGB in [0, 1] or no multiples of the scale in size.

    Values are looked at on a CPU only: another device would have to be waited for.
    """
    if hr.dim() != 4 or hr.shape[1] != 3:
        msg = f"shape {tuple(hr.shape)}: expected (n, 3, h, w)"
        raise ValueError(msg)
    h, w = hr.shape[-2:]
    if h % scale or w % scale or min(h, w) < scale:
        msg = f"{h}x{w} pixels are no multiple of scale={scale}"
        raise ValueError(msg)
    if not hr.is_cpu or hr.numel() == 0:
        return
    least, largest = (value.item() for value in torch.aminmax(hr))
    if not (-MOST_OUTSIDE <= least <= largest <= 1 + MOST_OUTSIDE):
        msg = f"values from {least:g} to {largest:g}: expected finite numbers in [0, 1]"
        raise ValueError(msg)

"""Experiment B's generator: restoration at low resolution, then upsampling, in two modules."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from srlit.models.blocks import SubPixelUpsample, conv3, icnr_, upsampling_steps
from srlit.models.rrdb import RRDBTrunk, leaky
from srlit.ops.resize import bilinear
from srlit.types import Count, NonNegative, NonNegativeInt


def _image_head(num_feat: int) -> nn.Conv2d:
    """Features to a residual image: small at first, so that training starts near the input."""
    head = conv3(num_feat, 3)
    for parameter in head.parameters():
        parameter.data.mul_(0.1)
    return head


class RestorationStage(nn.Module):
    """Restoration: an RRDBNet's trunk at low resolution, and an image head on its features."""

    def __init__(
        self, num_feat: int, num_block: int, num_grow_ch: int, residual_scale: float
    ) -> None:
        super().__init__()
        self.trunk = RRDBTrunk(3, num_feat, num_block, num_grow_ch, residual_scale)
        self.to_image = _image_head(num_feat)

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, Tensor]:
        """Features (n, f, h, w) for stage 2, and the restored image, lr + to_image(features)."""
        features = self.trunk(lr)
        return features, lr + self.to_image(features)


class UpsamplingStage(nn.Module):
    """Upsampling: features to an image of s times the size, by sub-pixel convolution.

    The last activation stands before the first PixelShuffle and kernels start equal within each
    square of s x s pixels (ICNR), so all of its pixels are equal at first: no checkerboard.
    """

    def __init__(self, num_feat: int, scale: int) -> None:
        super().__init__()
        self.adapt = nn.Sequential(conv3(num_feat, num_feat), leaky())
        steps = [SubPixelUpsample(num_feat, num_feat, s) for s in upsampling_steps(scale)]
        for step in steps:
            icnr_(step.conv, step.shuffle.upscale_factor)
        self.steps = nn.Sequential(*steps)
        self.to_image = _image_head(num_feat)

    def forward(self, features: Float[Tensor, "n f h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """The details that interpolation lacks."""
        return self.to_image(self.steps(self.adapt(features)))


class StageOutputs(NamedTuple):
    """The image that each stage gives.

    Attributes:
        stage1_output: restored at low resolution, (n, 3, h, w).
        sr: the result, (n, 3, s*h, s*w).
    """

    stage1_output: Tensor
    sr: Tensor


class TwoStage(nn.Module):
    """Stage 1 restores at low resolution, stage 2 upsamples.

    sr = details(features) + bilinear(restored), with features and restored from stage 1.

    Args:
        scale: upscaling factor: 1 (restoration alone), 2, 3, 4 or 8.
        num_feat: channels.
        num_block: residual-in-residual dense blocks of stage 1.
        num_grow_ch: channels that each convolution of a dense block adds.
        residual_scale: factor on every residual of stage 1.
        frozen: stages that are not trained, [], [1] or [2].

    Raises:
        ValueError: another scale, or both stages are frozen.

    Source: experiment B; W. Shi et al. (CVPR 2016) for the sub-pixel convolution; A. Aitken et al.
    (arXiv:1707.02937) for its initialisation.
    """

    def __init__(
        self,
        *,
        scale: Count,
        num_feat: Count = 64,
        num_block: NonNegativeInt = 23,
        num_grow_ch: Count = 32,
        residual_scale: NonNegative = 0.2,
        frozen: Sequence[Literal[1, 2]] = (),
    ) -> None:
        super().__init__()
        if set(frozen) == {1, 2}:
            raise ValueError(f"model.frozen={list(frozen)}: expected [], [1] or [2]")
        self.scale = scale
        self.restore = RestorationStage(num_feat, num_block, num_grow_ch, residual_scale)
        self.enlarge = UpsamplingStage(num_feat, scale)
        for number, stage in ((1, self.restore), (2, self.enlarge)):
            stage.requires_grad_(number not in frozen)

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and upsample; the result is not clamped."""
        return self.forward_stages(lr).sr

    def forward_stages(self, lr: Float[Tensor, "n 3 h w"]) -> StageOutputs:
        """As `forward`, with the image of stage 1."""
        features, restored = self.restore(lr)
        return StageOutputs(restored, self.enlarge(features) + bilinear(restored, self.scale))

    def first_stage(self) -> "RestorationOnly":
        """Stage 1 as a generator of its own, which shares its weights."""
        return RestorationOnly(self.restore)

    def compile(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torch's own
        """Compile each stage, so that `forward_stages` runs compiled as well."""
        self.restore.compile(*args, **kwargs)
        self.enlarge.compile(*args, **kwargs)


class RestorationOnly(nn.Module):
    """A generator of scale 1: the image of stage 1.

    Args:
        stage: stage 1 of a `TwoStage`.
    """

    scale = 1

    def __init__(self, stage: RestorationStage) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The restored image; not clamped."""
        restored: Tensor = self.stage(lr)[1]
        return restored

"""Restoring at low resolution, then enlarging: experiment B's generator, in two modules."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from srlit.models.blocks import SubPixelUpsample, conv3, icnr_, upsampling_steps
from srlit.models.rrdb import RRDBTrunk, leaky
from srlit.ops.resize import bilinear


def _image_head(num_feat: int) -> nn.Conv2d:
    """Features to an image to be added: small at first, so that training starts near the input."""
    head = conv3(num_feat, 3)
    for parameter in head.parameters():
        parameter.data.mul_(0.1)
    return head


class Restoration(NamedTuple):
    """What stage 1 gives.

    Attributes:
        features: what stage 2 enlarges, (n, f, h, w).
        image: the restored low-resolution image, about in [0, 1], (n, 3, h, w).
    """

    features: Tensor
    image: Tensor


class RestorationStage(nn.Module):
    """Stage 1: an RRDBNet's trunk at low resolution, and the image that its features show."""

    def __init__(
        self, num_feat: int, num_block: int, num_grow_ch: int, residual_scale: float
    ) -> None:
        super().__init__()
        self.trunk = RRDBTrunk(3, num_feat, num_block, num_grow_ch, residual_scale)
        self.to_image = _image_head(num_feat)

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Restoration:
        """Restore; the image is lr + to_image(features)."""
        features = self.trunk(lr)
        return Restoration(features, lr + self.to_image(features))


class EnlargingStage(nn.Module):
    """Stage 2: features to an image of s times the size, by sub-pixel convolution.

    The last activation stands before the first PixelShuffle and kernels start equal within each
    square of s x s pixels (ICNR), so at the start none of these pixels is told from another: no
    checkerboard.
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


class Stages(NamedTuple):
    """What each stage gives.

    Attributes:
        restored: stage 1's image, (n, 3, h, w).
        sr: the result, (n, 3, s*h, s*w).
    """

    restored: Tensor
    sr: Tensor


class TwoStage(nn.Module):
    """Stage 1 restores at low resolution, stage 2 enlarges what it restored.

    sr = details(features) + bilinear(restored), features and restored = stage 1 of lr.

    Args:
        scale: upscaling factor: 1 (restoration alone), 2, 3, 4 or 8.
        num_feat: channels.
        num_block: residual-in-residual dense blocks of stage 1.
        num_grow_ch: channels that each convolution of a dense block adds.
        residual_scale: factor on every residual of stage 1.
        frozen: stages that keep their weights in training, among 1 and 2.

    Raises:
        ValueError: another scale, or stages that are none or all.

    Source: experiment B; W. Shi et al. (CVPR 2016) for the sub-pixel convolution; A. Aitken et al.
    (arXiv:1707.02937) for its initialisation.
    """

    def __init__(
        self,
        *,
        scale: int,
        num_feat: int = 64,
        num_block: int = 23,
        num_grow_ch: int = 32,
        residual_scale: float = 0.2,
        frozen: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if not set(frozen) < {1, 2}:
            msg = f"model.frozen={list(frozen)}: expected [], [1] or [2]"
            raise ValueError(msg)
        self.scale = scale
        self.restore = RestorationStage(num_feat, num_block, num_grow_ch, residual_scale)
        self.enlarge = EnlargingStage(num_feat, scale)
        for number, stage in ((1, self.restore), (2, self.enlarge)):
            stage.requires_grad_(number not in frozen)

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and enlarge; the result is not clamped."""
        return self.stages(lr).sr

    def stages(self, lr: Float[Tensor, "n 3 h w"]) -> Stages:
        """Restore and enlarge, with what stage 1 gave."""
        features, restored = self.restore(lr)
        return Stages(restored, self.enlarge(features) + bilinear(restored, self.scale))

    def first_stage(self) -> "FirstStage":
        """Stage 1 as a generator of its own."""
        return FirstStage(self.restore)

    def compile(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torch's own
        """Compile each stage, so that `stages` runs compiled as well."""
        self.restore.compile(*args, **kwargs)
        self.enlarge.compile(*args, **kwargs)


class FirstStage(nn.Module):
    """What stage 1 alone makes of an image: (n, 3, h, w) to the same size.

    Args:
        stage: stage 1 of a `TwoStage`, shared with it.
    """

    scale = 1

    def __init__(self, stage: RestorationStage) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The restored image; not clamped."""
        return self.stage(lr).image

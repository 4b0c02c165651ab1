"""Networks that were exported to ONNX, by srlit or anybody else, as generators."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.checkpoint import CheckpointError
from srlit.checkpoint.messages import printable
from srlit.models.blocks import reflect_to

if TYPE_CHECKING:
    import onnxruntime

SUFFIX = ".onnx"
TRIED = 64  # side of the image by which the scale is found, where the file takes any
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxGenerator(nn.Module):
    """The network of an ONNX file; it computes, but cannot be trained.

    It takes RGB images in [0, 1] as (n, 3, h, w) and gives them enlarged by a whole number. Where
    the file fixes the size of its images, smaller ones are mirrored to it and cropped again.

    Args:
        path: the file.

    Raises:
        CheckpointError: it cannot be read, takes or gives something else, or onnxruntime, which
            runs it, is not installed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._session = _session(path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        taken = [(each.type, each.shape) for each in inputs]
        if len(outputs) != 1 or len(taken) != 1 or not _is_image(*taken[0]):
            raise CheckpointError(
                f"{path}: expected one input (n, 3, h, w) of type {' or '.join(TYPES)} and one "
                f"output; came {len(outputs)} outputs and inputs {taken}"
            )
        [(kind, (count, _, height, width))] = taken
        self._input = inputs[0].name
        self._type = TYPES[kind]
        self.batch, self.height, self.width = (
            side if isinstance(side, int) else None for side in (count, height, width)
        )
        self.scale = self._found_scale()

    def _found_scale(self) -> int:
        size = self.height or TRIED, self.width or TRIED
        found = self._run(torch.zeros(self.batch or 1, 3, *size)).shape
        scale = found[-1] // size[1]
        if scale < 1 or found != (self.batch or 1, 3, scale * size[0], scale * size[1]):
            raise CheckpointError(
                f"{self.path}: made {tuple(found)} of an image of {size[0]}x{size[1]} pixels: "
                "expected 3 channels and both sides a whole number of times as long"
            )
        return int(scale)

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and enlarge; the result is not clamped.

        Raises:
            ValueError: an image is larger than the file takes.
        """
        h, w = lr.shape[-2:]
        height, width = self.height or h, self.width or w
        if h > height or w > width:
            raise ValueError(
                f"{self.path} takes images of {height}x{width} pixels, got {h}x{w}: "
                f"set tile={min(height, width)}"
            )
        images = reflect_to(lr, height, width)
        parts = [self._run(part) for part in self._batches(images)]
        sr = torch.cat(parts)[: len(lr), :, : h * self.scale, : w * self.scale]
        return sr.to(lr.device)

    def _batches(self, images: Tensor) -> tuple[Tensor, ...]:
        """Batches of the size that the file takes, the last one filled up with black."""
        if self.batch is None:
            return (images,)
        filling = images.new_zeros(-len(images) % self.batch, *images.shape[1:])
        return torch.cat([images, filling]).split(self.batch)

    def _run(self, images: Tensor) -> Tensor:
        pixels = images.cpu().numpy().astype(self._type)
        try:
            [found] = self._session.run(None, {self._input: pixels})
        except Exception as error:  # onnxruntime's own have no public base
            msg = f"{self.path}: on {tuple(images.shape)}: {_first_line(error)}"
            raise CheckpointError(msg) from error
        return torch.from_numpy(np.asarray(found)).float()


def _session(path: Path) -> "onnxruntime.InferenceSession":
    """A session on the best device there is; CheckpointError where it cannot be had."""
    try:
        import onnxruntime
    except ImportError as error:
        raise CheckpointError(f"{path}: needs onnxruntime: pip install 'srlit[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what it would print is in the error
    there = onnxruntime.get_available_providers()
    chosen = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=chosen)
    except Exception as error:  # onnxruntime's own have no public base
        raise CheckpointError(f"{path}: cannot be run as ONNX: {_first_line(error)}") from error


def _is_image(kind: str, shape: list[int | str | None]) -> bool:
    """Whether an input takes RGB images; unnamed sides are None."""
    return kind in TYPES and len(shape) == 4 and shape[1] == 3


def _first_line(error: Exception) -> str:
    return printable(str(error).strip().split("\n")[0])

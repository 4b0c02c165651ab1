"""Networks that were exported to ONNX, by srlit or anybody else, as generators."""

import contextlib
import subprocess
import sys
import time
import weakref
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.checkpoint import CheckpointError
from srlit.checkpoint.messages import printable
from srlit.models import onnx_worker
from srlit.models.blocks import reflect_to

SUFFIX = ".onnx"
TRIED = 64  # side of the image by which the scale is found, where the file takes any
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}

# Seconds that a network may take: far more than any needs, on one core too.
SECONDS = 60.0
SECONDS_PER_PIXEL = 0.01


class OnnxSession:
    """An ONNX file, open in a process of its own, which is stopped where it does not end.

    A process that was stopped, or has crashed, is started anew for the next image.

    Args:
        path: the file.

    Attributes:
        inputs: name, type and shape of each.
        outputs: likewise.

    Raises:
        CheckpointError: the file cannot be run, or onnxruntime, which runs it, is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if find_spec("onnxruntime") is None:
            raise CheckpointError(f"{path}: needs onnxruntime: pip install 'srlit[onnx]'")
        head = self._start()
        self.inputs, self.outputs = head["inputs"], head["outputs"]

    def _start(self) -> dict[str, Any]:
        # -P: the folder of the worker's file would hide the package onnx.
        worker = [sys.executable, "-P", onnx_worker.__file__]
        self._process = subprocess.Popen(  # noqa: S603 - this package's own file
            [*worker, str(self.path), str(torch.get_num_threads())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        weakref.finalize(self, _end, self._process)
        return self._exchange(None, SECONDS, "cannot be run as ONNX")[0]

    def run(self, images: np.ndarray) -> np.ndarray:
        """What the network makes of images.

        Raises:
            CheckpointError: it fails, crashes or takes too long.
        """
        if self._process.poll() is not None:
            self._start()
        limit = SECONDS + SECONDS_PER_PIXEL * images.size / images.shape[1]
        found = self._exchange(images, limit, f"on {images.shape}")[1]
        assert found is not None
        return found

    def _exchange(self, images: np.ndarray | None, limit: float, what: str) -> onnx_worker.Message:
        """Send images, if any, and wait for the answer; without one the process is ended."""
        timer, end = Timer(limit, self._process.kill), time.monotonic() + limit
        timer.start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if images is not None:
                onnx_worker.send(self._process.stdin, {}, images)
            head, array = onnx_worker.receive(self._process.stdout)
            reason = head.get("error")
        except (EOFError, OSError):
            late = time.monotonic() >= end
            code = _end(self._process)
            reason = f"stopped, as it took more than {limit:g} s" if late else f"crashed ({code})"
        except BaseException:  # such as a Ctrl-C: what comes next would be this answer
            _end(self._process)
            raise
        finally:
            timer.cancel()
        if reason is not None:
            raise CheckpointError(f"{self.path}: {what}: {printable(reason)}")
        return head, array


def _end(process: "subprocess.Popen[bytes]") -> int:
    """End a worker, if it still runs; returns its exit code."""
    process.kill()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with contextlib.suppress(OSError):  # what it had not read yet
            stream.close()
    return process.wait()


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
        self._session = OnnxSession(path)
        taken = [(kind, shape) for _, kind, shape in self._session.inputs]
        outputs = self._session.outputs
        if len(outputs) != 1 or len(taken) != 1 or not _is_image(*taken[0]):
            raise CheckpointError(
                f"{path}: expected one input (n, 3, h, w) of type {' or '.join(TYPES)} and one "
                f"output; came {len(outputs)} outputs and inputs {taken}"
            )
        [(kind, (count, _, height, width))] = taken
        self._type = TYPES[kind]
        self.batch, self.height, self.width = (
            side if isinstance(side, int) else None for side in (count, height, width)
        )
        # Larger images come in tiles.
        self.max_tile = min([s for s in (self.height, self.width) if s], default=None)
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
        found = self._session.run(images.cpu().numpy().astype(self._type))
        return torch.from_numpy(found).float()


def _is_image(kind: str, shape: list[int | str | None]) -> bool:
    """Whether an input takes RGB images; unnamed sides are None."""
    return kind in TYPES and len(shape) == 4 and shape[1] == 3

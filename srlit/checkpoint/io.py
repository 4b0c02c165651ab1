"""How Lightning writes and reads checkpoints here: atomically, verified, and as data only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.types import _PATH

from srlit.checkpoint import manifest
from srlit.checkpoint.loading import load_checkpoint
from srlit.utils.atomic import atomic_file

PLAIN = (str, int, float, bool, type(None), torch.Tensor, torch.Size, torch.dtype)


def leaves(node: object, key: str = "checkpoint") -> Iterator[tuple[str, object]]:
    """Every value in a tree of containers, with its key."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}")
    elif isinstance(node, (list, tuple)):
        for position, value in enumerate(node):
            yield from leaves(value, f"{key}[{position}]")
    else:
        yield key, node


def check_plain(checkpoint: object) -> None:
    """See that `weights_only=True` will read what is about to be written.

    Raises:
        TypeError: an object that is no plain data, with its key.
    """
    for key, value in leaves(checkpoint):
        if not isinstance(value, PLAIN):
            msg = f"{key} is a {type(value).__name__}: a checkpoint may hold plain data only"
            raise TypeError(msg)


def tensor_bytes(checkpoint: object) -> int:
    """How much of a checkpoint is tensors: nearly all of its file."""
    return sum(value.nbytes for _, value in leaves(checkpoint) if isinstance(value, torch.Tensor))


class AtomicCheckpointIO(CheckpointIO):
    """Checkpoints that are whole or absent, listed by SHA-256, loaded with `weights_only=True`."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: _PATH,
        storage_options: Any | None = None,  # noqa: ANN401, ARG002 - Lightning's signature
    ) -> None:
        """Write to a sibling, flush, list its digest, rename.

        Raises:
            DiskError: it could not be written; what was there before still is.
        """
        check_plain(checkpoint)
        path = Path(path)
        with atomic_file(path, tensor_bytes(checkpoint)) as sibling:
            _save(checkpoint, sibling)
            manifest.enter(path.parent, path.name, sibling)
        manifest.settle(path.parent)

    def load_checkpoint(
        self,
        path: _PATH,
        map_location: Any | None = None,  # noqa: ANN401, ARG002 - Lightning's signature
        weights_only: bool | None = None,  # noqa: ARG002 - always True here
    ) -> dict[str, Any]:
        """Read tensors, numbers, text and containers; nothing else is ever unpickled."""
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: _PATH) -> None:
        """Remove the file, and its digest."""
        Path(path).unlink(missing_ok=True)
        manifest.settle(Path(path).parent)


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    """torch.save through a Python file, whose errors say what the disk said."""
    with path.open("wb") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:
            # PyTorch's writer hides a full disk behind 'unexpected pos'.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise

"""How Lightning writes and reads checkpoints here: atomically, and as data only."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.types import _PATH

from srlit.checkpoint.files import atomic_file
from srlit.checkpoint.loading import load_checkpoint

PLAIN = (str, int, float, bool, type(None), torch.Tensor, torch.Size, torch.dtype)


def check_plain(node: object, key: str = "checkpoint") -> None:
    """See that `weights_only=True` will read what is about to be written.

    Raises:
        TypeError: an object that is no plain data, with its key.
    """
    if isinstance(node, dict):
        for name, value in node.items():
            check_plain(value, f"{key}.{name}")
    elif isinstance(node, (list, tuple, set)):
        for position, value in enumerate(node):
            check_plain(value, f"{key}[{position}]")
    elif not isinstance(node, PLAIN):
        msg = f"{key} is a {type(node).__name__}: a checkpoint may hold plain data only"
        raise TypeError(msg)


class AtomicCheckpointIO(CheckpointIO):
    """Checkpoints that are whole or absent, loaded with `weights_only=True`."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: _PATH,
        storage_options: Any | None = None,  # noqa: ANN401, ARG002 - Lightning's signature
    ) -> None:
        """Write to a sibling, flush, rename."""
        check_plain(checkpoint)
        with atomic_file(Path(path)) as sibling:
            torch.save(checkpoint, sibling)

    def load_checkpoint(
        self,
        path: _PATH,
        map_location: Any | None = None,  # noqa: ANN401, ARG002 - Lightning's signature
        weights_only: bool | None = None,  # noqa: ARG002 - always True here
    ) -> dict[str, Any]:
        """Read tensors, numbers, text and containers; nothing else is ever unpickled."""
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: _PATH) -> None:
        """Remove the file."""
        Path(path).unlink(missing_ok=True)

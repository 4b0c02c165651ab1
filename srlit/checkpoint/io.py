"""How Lightning writes and reads checkpoints here: atomically, in srlit's own format."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.types import _PATH

from srlit.checkpoint.file_format import save
from srlit.checkpoint.loading import load_checkpoint


class AtomicCheckpointIO(CheckpointIO):
    """Checkpoints that are whole or absent, and hold their own SHA-256."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: _PATH,
        storage_options: Any | None = None,  # noqa: ANN401, ARG002 - Lightning's signature
    ) -> None:
        """Write a checkpoint.

        Raises:
            TypeError: it holds more than plain data and tensors.
            DiskError: it could not be written; what was there before still is.
        """
        save(checkpoint, Path(path))

    def load_checkpoint(
        self,
        path: _PATH,
        map_location: Any | None = None,  # noqa: ANN401, ARG002 - Lightning's signature
        weights_only: bool | None = None,  # noqa: ARG002 - there is nothing else in it
    ) -> dict[str, Any]:
        """Read a checkpoint, and check its SHA-256."""
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: _PATH) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)

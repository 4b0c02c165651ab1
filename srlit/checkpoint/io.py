"""How Lightning writes and reads checkpoints here: atomically, in srlit's own format."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO

from srlit.checkpoint.file_format import save
from srlit.checkpoint.loading import load_checkpoint


class AtomicCheckpointIO(CheckpointIO):
    """Checkpoints that are whole or absent, and hold their own SHA-256."""

    # Lightning's further options (storage, device, unpickling) have no meaning for this format.
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, *_: object, **__: object
    ) -> None:
        """Write a checkpoint.

        Raises:
            TypeError: it holds more than plain data and tensors.
            DiskError: it could not be written; what was there before still is.
        """
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: str | Path, *_: object, **__: object) -> dict[str, Any]:
        """Read a checkpoint, and check its SHA-256."""
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)

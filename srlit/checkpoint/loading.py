"""Reading checkpoints as data: no code in them ever runs."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from srlit.checkpoint import file_format
from srlit.checkpoint.foreign_weights import load_pickled, unwrap
from srlit.checkpoint.messages import printable
from srlit.checkpoint.sections import CHECKPOINT, EMA_KEY


class CheckpointError(ValueError):
    """A file that is no srlit checkpoint, or one that does not fit."""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that srlit wrote onto the CPU, and check its SHA-256.

    Raises:
        CheckpointError: the file is missing or damaged, or srlit did not write it.
    """
    loaded, is_srlit = _read(path)
    if not is_srlit:
        raise CheckpointError(f"{path}: not an srlit checkpoint: no 'card' describes its model")
    return _validated(path, loaded)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The generator's weights from a checkpoint of srlit's or a file of another project's.

    Other projects store a table of tensors, bare or under one of `foreign_weights.WRAPPERS`, as
    `.pth` or `.safetensors`.

    Returns:
        The weights, and the card of a checkpoint of srlit's.

    Raises:
        CheckpointError: the file is missing or damaged, or holds more than data, or no weights.
    """
    loaded, is_srlit = _read(path)
    if is_srlit:
        checkpoint = _validated(path, loaded)
        return generator_weights(checkpoint), checkpoint["card"]
    try:
        return unwrap(loaded, path.stat().st_size), None
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def generator_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The generator's weights that are validated and used: its EMA where there is one."""
    if ema := checkpoint.get("callbacks", {}).get(EMA_KEY):
        return dict(ema["averaged"])
    prefix = "generator."
    state = checkpoint["state_dict"]
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _read(path: Path) -> tuple[Any, bool]:
    """What a file holds, and whether srlit wrote it.

    Raises:
        CheckpointError: the file is missing or damaged, or holds more than data.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        if file_format.is_safetensors(path):
            return file_format.load(path)
        return load_pickled(path), False
    except Exception as error:  # what a hostile file raises has no common base
        reason = printable(str(error).strip().split("\n")[0] or type(error).__name__)
        raise CheckpointError(f"{path}: damaged, or more than plain data ({reason})") from error


def _validated(path: Path, loaded: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint, each of whose sections has the right type.

    Raises:
        CheckpointError: a section is missing, or something else.
    """
    try:
        CHECKPOINT.validate_python(loaded)
    except ValidationError as error:
        first = error.errors()[0]
        key = printable(".".join(map(str, first["loc"])))
        raise CheckpointError(f"{path}: not an srlit checkpoint: {key}: {first['msg']}") from error
    return loaded

"""Loading checkpoints as data: no code in them ever runs."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from srlit.checkpoint.archive import check_archive
from srlit.checkpoint.manifest import damage
from srlit.checkpoint.messages import shown
from srlit.checkpoint.schema import (
    EMA_KEY,
    FOREIGN,
    MOST_VALUES,
    REQUIRED,
    SCALARS,
    SECTIONS,
    check_values,
    is_weights,
)

# Under which names other projects store a network's weights; an average first.
WRAPPERS = ("params_ema", "params-ema", "params", "model_state_dict", "state_dict")
PARALLEL = "module."  # what torch's DataParallel puts before each name

MOST_CARD_VALUES = 10_000

# What reading a damaged or malicious file may raise.
UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)


class CheckpointError(ValueError):
    """A file that is no srlit checkpoint, or one that does not fit."""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of srlit's onto the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, holds more than data, or is none of srlit's.
    """
    return _checked(path, read_plain(path))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The generator's weights from a checkpoint of srlit's or a file of another project's.

    Other projects store a table of tensors, bare or under one of `WRAPPERS`, as `.pth` or
    `.safetensors`.

    Returns:
        The weights, and the card of a checkpoint of srlit's.

    Raises:
        CheckpointError: the file is missing, damaged, holds more than data, or no weights.
    """
    loaded = read_plain(path)
    if isinstance(loaded, dict) and "card" in loaded:
        checkpoint = _checked(path, loaded)
        return generator_weights(checkpoint), checkpoint["card"]
    return _unwrapped(path, loaded), None


def read_plain(path: Path) -> object:
    """Read a file with `weights_only=True`, after a look at what it declares.

    Where a manifest lies beside it, its SHA-256 must be listed there.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than data.
    """
    if not path.is_file():
        msg = f"{path}: no such checkpoint"
        raise CheckpointError(msg)
    if problem := damage(path):
        msg = f"{path}: {problem}"
        raise CheckpointError(msg)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        check_archive(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        check_values(loaded, MOST_VALUES)
    except UNREADABLE as error:
        reason = shown(str(error).strip().split("\n")[0] or type(error).__name__)
        msg = f"{path}: damaged, or not a checkpoint of plain data ({reason})"
        raise CheckpointError(msg) from error
    return loaded


def _checked(path: Path, loaded: object) -> dict[str, Any]:
    """A checkpoint of srlit's, each of whose sections is what it should be.

    Raises:
        CheckpointError: it is none, or a section is missing or something else.
    """
    checkpoint = _with_card(path, loaded)
    for key, (fits, expected) in SECTIONS.items():
        missing = key not in checkpoint
        if (missing and key in REQUIRED) or not (missing or fits(checkpoint[key])):
            msg = f"{path}: damaged: its {key!r} is {'missing' if missing else f'not {expected}'}"
            raise CheckpointError(msg)
    return checkpoint


def _unwrapped(path: Path, loaded: object) -> dict[str, Tensor]:
    """The table of tensors in what another project stored; the averaged one where there are two.

    Raises:
        CheckpointError: there is none.
    """
    wrapped = [loaded.get(name) for name in WRAPPERS] if isinstance(loaded, dict) else []
    # A name may be there for nothing, such as an average that was not kept.
    weights = next((table for table in wrapped if _is_table(table)), loaded)
    if not isinstance(weights, dict) or not _is_table(weights):
        keys = shown(", ".join(map(str, loaded))) if isinstance(loaded, dict) else "no table"
        msg = (
            f"{path}: not an srlit checkpoint, as it has no 'card' that describes its model, and "
            f"no table of tensors, bare or as {' or '.join(WRAPPERS)}; came {keys}"
        )
        raise CheckpointError(msg)
    if all(name.startswith(PARALLEL) for name in weights):
        return _below(PARALLEL, weights)
    return dict(weights)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and is_weights(value)


def _with_card(path: Path, loaded: object) -> dict[str, Any]:
    """The checkpoint, whose card can be relied upon.

    Raises:
        CheckpointError: it has none, or one that is more than a configuration.
    """
    card = loaded.get("card") if isinstance(loaded, dict) else None
    if not isinstance(card, dict) or not isinstance(card.get("model"), dict):
        msg = f"{path}: not an srlit checkpoint, as it has no 'card' that describes its model"
        raise CheckpointError(msg)
    try:
        check_values(card, MOST_CARD_VALUES, leaves=SCALARS, keys=(str,))
    except ValueError as error:
        msg = f"{path}: its 'card' is no configuration ({shown(error)})"
        raise CheckpointError(msg) from error
    assert isinstance(loaded, dict)
    if foreign := FOREIGN & loaded.keys():
        msg = f"{path}: holds {sorted(foreign)}, which srlit never writes: they name what to build"
        raise CheckpointError(msg)
    return loaded


# -- what is made of it -------------------------------------------------------------------------


def generator_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The generator's weights that were judged: the moving average where there is one."""
    average = checkpoint.get("callbacks", {}).get(EMA_KEY)
    if average is not None:
        return dict(average["averaged"])
    return _below("generator.", checkpoint["state_dict"])


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

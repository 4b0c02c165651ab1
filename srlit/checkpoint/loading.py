"""Reading checkpoints as data: no code in them ever runs."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from srlit.checkpoint import file_format
from srlit.checkpoint.foreign_weights import Table, Weights, load_pickled, tables_in
from srlit.checkpoint.messages import printable
from srlit.checkpoint.sections import CHECKPOINT, EMA_KEY

log = logging.getLogger(__name__)


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


def load_weights(
    path: Path, misfit: Callable[[Weights], int] = lambda _: 0, network: str = "generator"
) -> tuple[Weights, dict[str, Any] | None]:
    """A network's weights from a checkpoint of srlit's or a file of another project's.

    Other projects store tables of tensors, as `.pth` or `.safetensors`, bare, under keys, and with
    prefixes before the names. All are tried, averaged weights first; the log says which was taken.

    Args:
        path: the file.
        misfit: how far another project's table is from the network's weights; 0 takes it.
        network: 'generator' or 'discriminator', of a checkpoint of srlit's.

    Returns:
        The weights, and the card of a checkpoint of srlit's.

    Raises:
        CheckpointError: the file is missing or damaged, or holds more than data, or no weights.
    """
    loaded, is_srlit = _read(path)
    if is_srlit:
        checkpoint = _validated(path, loaded)
        weights = network_weights(checkpoint, network)
        if not weights:
            raise CheckpointError(f"{path}: holds no {network}")
        return check_finite(path, weights), checkpoint["card"]
    try:
        where, weights = _nearest(tables_in(loaded, path.stat().st_size), misfit)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if where:
        log.info("%s: took the weights called %s", path, printable(".".join(where)))
    return check_finite(path, weights), None


def _nearest(tables: list[Table], misfit: Callable[[Weights], int]) -> Table:
    """The first table that fits; else the one that is nearest to it."""
    found = []
    for table in tables:
        found.append(misfit(table.weights))
        if not found[-1]:
            break
    return tables[found.index(min(found))]


def check_finite(path: Path, weights: Weights) -> Weights:
    """The weights themselves.

    Raises:
        CheckpointError: one holds NaN or infinity.
    """
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise CheckpointError(f"{path}: {printable(name)} is not finite: expected numbers")
    return weights


def network_weights(checkpoint: dict[str, Any], network: str = "generator") -> dict[str, Tensor]:
    """A network's weights; of the generator those that are used: its EMA where there is one."""
    ema = checkpoint.get("callbacks", {}).get(EMA_KEY)
    if ema and network == "generator":
        return dict(ema["averaged"])
    prefix, state = f"{network}.", checkpoint["state_dict"]
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

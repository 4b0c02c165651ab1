"""Loading checkpoints as data: no code in them ever runs."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

EMA_KEY = "EMA"


class CheckpointError(ValueError):
    """A file that is no srlit checkpoint, or one that does not fit."""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU with `weights_only=True`.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than data.
    """
    if not path.is_file():
        msg = f"{path}: no such checkpoint"
        raise CheckpointError(msg)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().split("\n")[0]
        msg = f"{path}: damaged, or not a checkpoint of plain data ({first_line})"
        raise CheckpointError(msg) from error
    card = loaded.get("card") if isinstance(loaded, dict) else None
    if not isinstance(card, dict) or not isinstance(card.get("model"), dict):
        msg = f"{path}: not an srlit checkpoint, as it has no 'card' that describes its model"
        raise CheckpointError(msg)
    return loaded


def generator_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The generator's weights that were judged: the moving average where there is one."""
    average = checkpoint.get("callbacks", {}).get(EMA_KEY)
    if average is not None:
        return dict(average["averaged"])
    return _below("generator.", checkpoint["state_dict"])


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def card_differences(
    recorded: Any,  # noqa: ANN401 - a tree of plain values
    current: Any,  # noqa: ANN401
    key: str,
) -> list[str]:
    """What differs between two configurations, a line a key."""
    if isinstance(recorded, dict) and isinstance(current, dict):
        names = [*recorded, *(name for name in current if name not in recorded)]
        return [
            line
            for name in names
            for line in card_differences(recorded.get(name), current.get(name), f"{key}.{name}")
        ]
    return [] if recorded == current else [f"{key}: {recorded} in the checkpoint, {current} now"]

"""Loading checkpoints as data: no code in them ever runs."""

import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from srlit.checkpoint.archive import check_archive
from srlit.checkpoint.manifest import damage

EMA_KEY = "EMA"

# Under which names other projects store a network's weights; an average first.
WRAPPERS = ("params_ema", "params-ema", "params", "model_state_dict", "state_dict")
PARALLEL = "module."  # what torch's DataParallel puts before each name

MOST_VALUES = 300_000
MOST_CARD_VALUES = 10_000
MOST_DEPTH = 32
MOST_SHOWN = 200
MOST_NAMED = 4

SCALARS = (str, int, float, bool, type(None))
LEAVES = (*SCALARS, Tensor, torch.nn.Parameter, torch.dtype)
CONTAINERS = (dict, list, tuple)

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
    wrapper = next((k for k in WRAPPERS if isinstance(loaded, dict) and k in loaded), None)
    weights = loaded[wrapper] if isinstance(loaded, dict) and wrapper else loaded
    if not isinstance(weights, dict) or not weights or not _is_weights(weights):
        keys = shown(", ".join(map(str, loaded))) if isinstance(loaded, dict) else "no table"
        msg = (
            f"{path}: not an srlit checkpoint, as it has no 'card' that describes its model, and "
            f"no table of tensors, bare or as {' or '.join(WRAPPERS)}; came {keys}"
        )
        raise CheckpointError(msg)
    if all(name.startswith(PARALLEL) for name in weights):
        return _below(PARALLEL, weights)
    return dict(weights)


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


# -- what a checkpoint may hold -----------------------------------------------------------------


def check_values(
    tree: object,
    most: int,
    *,
    leaves: tuple[type, ...] = LEAVES,
    keys: tuple[type, ...] = (str, int),
) -> None:
    """See that a tree is one: of plain values, not too many, not too deep, never itself again.

    Raises:
        ValueError: it is not, and why.
    """
    count = 0
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > most or depth > MOST_DEPTH:
            msg = f"more than {most} values, or over {MOST_DEPTH} deep"
            raise ValueError(msg)
        if isinstance(node, CONTAINERS):
            waiting.extend((part, depth + 1) for part in _parts(node, keys))
        else:
            _check_leaf(node, leaves)


def _parts(node: Any, keys: tuple[type, ...]) -> Iterator[object]:  # noqa: ANN401
    """What a container holds, and what PyTorch's unpickler set as its attributes.

    Raises:
        ValueError: a key or an attribute that no checkpoint has.
    """
    attributes = getattr(node, "__dict__", {})
    if not attributes.keys() <= {"_metadata"}:  # the layers' versions, beside a state dict
        msg = f"a {type(node).__name__} with attributes {', '.join(attributes)}"
        raise ValueError(msg)
    yield from attributes.values()
    if not isinstance(node, dict):
        yield from node
        return
    if not all(type(key) in keys for key in node):
        msg = f"a key that is none of {', '.join(kind.__name__ for kind in keys)}"
        raise ValueError(msg)
    yield from node.values()


def _check_leaf(node: object, leaves: tuple[type, ...]) -> None:
    if type(node) not in leaves:
        msg = f"a {type(node).__name__} where plain data is expected"
        raise ValueError(msg)
    if isinstance(node, Tensor) and (node.layout != torch.strided or node.device.type != "cpu"):
        msg = f"a tensor of layout {node.layout} on {node.device}"
        raise ValueError(msg)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_weights(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(part, Tensor) for key, part in value.items()
    )


def _is_callbacks(value: object) -> bool:
    """Named states; the average's is read here, so it is looked into."""
    if not isinstance(value, dict) or not all(isinstance(part, dict) for part in value.values()):
        return False
    average = value.get(EMA_KEY)
    return average is None or (
        _is_weights(average.get("averaged")) and _is_count(average.get("seen", 0))
    )


def _is_list_of_dicts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, dict) for part in value)


def _is_journal(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _is_weights(value.get("sums"))
        and isinstance(value.get("counts"), dict)
    )


def _is_verdicts(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(part, dict)
        and isinstance(part.get("iterations"), list)
        and isinstance(part.get("finite"), Tensor)
        for part in value.values()
    )


def _is_photos(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _is_count(value.get("photos"))
        and isinstance(value.get("sha256"), str)
    )


# What is read from a checkpoint, here or by Lightning.
SECTIONS = {
    "state_dict": (_is_weights, "a table of tensors"),
    "callbacks": (_is_callbacks, "a table of the callbacks' states"),
    "iteration": (_is_count, "a count of iterations"),
    "validated": (_is_count, "the iteration of a validation"),
    "journal": (_is_journal, "sums of an interval"),
    "guard": (_is_verdicts, "verdicts on updates"),
    "epoch": (_is_count, "a count of epochs"),
    "global_step": (_is_count, "a count of steps"),
    "pytorch-lightning_version": (lambda value: isinstance(value, str), "a version"),
    "optimizer_states": (_is_list_of_dicts, "a list of optimizers' states"),
    "lr_schedulers": (_is_list_of_dicts, "a list of schedules' states"),
    "PhotoDataModule": (_is_photos, "the number and digest of the training photos"),
}
REQUIRED = {"state_dict", "iteration"}
# What only a training has, and needs to go on.
RESUMED = ("validated", "journal", "guard", "callbacks", "optimizer_states", "lr_schedulers")
# From these, Lightning's `load_from_checkpoint` instantiates classes.
FOREIGN = {"hyper_parameters", "datamodule_hyper_parameters"}


# -- what is made of it -------------------------------------------------------------------------


def generator_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The generator's weights that were judged: the moving average where there is one."""
    average = checkpoint.get("callbacks", {}).get(EMA_KEY)
    if average is not None:
        return dict(average["averaged"])
    return _below("generator.", checkpoint["state_dict"])


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def shapes(weights: Mapping[str, Tensor]) -> str:
    """How many weights there are, and the first ones' names and shapes, for a message."""
    first = [f"{shown(k)} {tuple(w.shape)}" for k, w in list(weights.items())[:MOST_NAMED]]
    return (
        f"{len(weights)} tensors: {', '.join(first)}{', ...' if len(weights) > MOST_NAMED else ''}"
    )


def weight_differences(expected: Mapping[str, Tensor], came: Mapping[str, Tensor]) -> list[str]:
    """What keeps weights from fitting a network: what was expected, and what came."""
    both = expected.keys() & came.keys()
    others = {k for k in both if expected[k].shape != came[k].shape}
    missing = {k: w for k, w in expected.items() if k not in both or k in others}
    unknown = {k: w for k, w in came.items() if k not in both or k in others}
    found = [f"expected {shapes(missing)}"] if missing else []
    return [*found, f"came {shapes(unknown)}"] if unknown else found


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
    if recorded == current:
        return []
    return [f"{shown(key)}: {shown(recorded)} in the checkpoint, {shown(current)} now"]


def shown(value: object) -> str:
    """A value from a file for a message: short, and nothing that a terminal would obey."""
    text = str(value)
    if len(text) > MOST_SHOWN:
        text = f"{text[:MOST_SHOWN]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)

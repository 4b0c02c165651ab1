"""What a checkpoint may hold: plain values, and in each section what reads it expects."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

EMA_KEY = "EMA"

MOST_VALUES = 300_000
MOST_DEPTH = 32

SCALARS = (str, int, float, bool, type(None))
LEAVES = (*SCALARS, Tensor, torch.nn.Parameter, torch.dtype)
CONTAINERS = (dict, list, tuple)


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


def is_weights(value: object) -> bool:
    """Whether something is a table of tensors."""
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(part, Tensor) for key, part in value.items()
    )


def _is_callbacks(value: object) -> bool:
    """Named states; the average's is read here, so it is looked into."""
    if not isinstance(value, dict) or not all(isinstance(part, dict) for part in value.values()):
        return False
    average = value.get(EMA_KEY)
    return average is None or (
        is_weights(average.get("averaged")) and _is_count(average.get("seen", 0))
    )


def _is_list_of_dicts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, dict) for part in value)


def _is_running_means(value: object) -> bool:
    return (
        isinstance(value, dict)
        and is_weights(value.get("sums"))
        and is_weights(value.get("counts"))
    )


def _is_finite_check(value: object) -> bool:
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
    "state_dict": (is_weights, "a table of tensors"),
    "callbacks": (_is_callbacks, "a table of the callbacks' states"),
    "iteration": (_is_count, "a count of iterations"),
    "validated": (_is_count, "the iteration of a validation"),
    "running_means": (_is_running_means, "sums of an interval"),
    "finite_check": (_is_finite_check, "updates and whether they were finite"),
    "epoch": (_is_count, "a count of epochs"),
    "global_step": (_is_count, "a count of steps"),
    "pytorch-lightning_version": (lambda value: isinstance(value, str), "a version"),
    "optimizer_states": (_is_list_of_dicts, "a list of optimizers' states"),
    "lr_schedulers": (_is_list_of_dicts, "a list of schedules' states"),
    "PhotoDataModule": (_is_photos, "the number and digest of the training photos"),
}
REQUIRED = {"state_dict", "iteration"}
# What only a training has, and needs to go on.
RESUMED = (
    "validated",
    "running_means",
    "finite_check",
    "callbacks",
    "optimizer_states",
    "lr_schedulers",
)
# From these, Lightning's `load_from_checkpoint` instantiates classes.
FOREIGN = {"hyper_parameters", "datamodule_hyper_parameters"}

"""From configurations to objects.

What the user composed is built as it stands. What came with a file is built from a table of
srlit's own classes: a name in a file is never imported.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from srlit.config.check import ConfigError


def build(node: Any, **given: Any) -> Any:  # noqa: ANN401 - what the configuration names
    """Instantiate a node of the user's configuration, containers as plain Python.

    Args:
        node: the configuration.
        given: further arguments, handed over as they are: Hydra itself would copy them, and
            instantiate configurations among them.
    """
    if not given:
        return hydra.utils.instantiate(node, _convert_="all")
    return hydra.utils.instantiate(node, _convert_="all", _partial_=True)(**given)


def plain(node: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """A node as plain Python, resolved: what a checkpoint may hold."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def known_classes() -> dict[str, type]:
    """Srlit's own classes that a stored configuration may name."""
    from srlit import data, degradation, models

    return {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in (models, data, degradation)
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
    }


def build_known(node: Any, where: str) -> Any:  # noqa: ANN401
    """Build a stored, plain configuration from `known_classes` only; nothing is imported by name.

    Args:
        node: tree of dicts, lists and values; a dict with `_target_` becomes an object.
        where: the file it came with, for the error.

    Raises:
        ConfigError: a `_target_` that is none of srlit's own, or arguments it does not take.
    """
    if isinstance(node, list):
        return [build_known(item, where) for item in node]
    if not isinstance(node, Mapping):
        return node
    arguments = {k: build_known(v, where) for k, v in node.items() if k != "_target_"}
    if "_target_" not in node:
        return arguments
    classes = known_classes()
    if not isinstance(node["_target_"], str) or node["_target_"] not in classes:
        msg = (
            f"{where} names {node['_target_']!r}, which is none of srlit's own classes and is not "
            "imported on a file's word; for a network, give its configuration yourself (model=...)"
        )
        raise ConfigError(msg)
    try:
        return classes[node["_target_"]](**arguments)
    except TypeError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def load_generator(path: Path, model: Any = None) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """A trained generator and the card of its checkpoint.

    Args:
        path: the checkpoint.
        model: the user's own configuration of the network; the checkpoint's without it.

    Raises:
        CheckpointError: no checkpoint, or weights that do not fit.
        ConfigError: the checkpoint names a class that is none of srlit's own.
    """
    from srlit.checkpoint import CheckpointError, generator_weights, load_checkpoint

    checkpoint = load_checkpoint(path)
    card = checkpoint["card"]
    generator = build_known(card["model"], str(path)) if model is None else build(model)
    if not isinstance(getattr(generator, "scale", None), int) or not callable(generator):
        msg = f"{path}: its model is a {type(generator).__name__}, no generator with a scale"
        raise CheckpointError(msg)
    try:
        generator.load_state_dict(generator_weights(checkpoint))
    except RuntimeError as error:
        msg = f"{path}: the weights do not fit the network: {str(error).splitlines()[-1].strip()}"
        raise CheckpointError(msg) from error
    return generator, card

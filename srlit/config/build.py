"""From configurations to objects.

What the user composed is built as it stands. What came with a file is built from a table of
srlit's own classes: a name in a file is never imported.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import OmegaConf

from srlit import models
from srlit.config.check import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn


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
    """Classes that a stored configuration may name: srlit's own, and kornia's 2D augmentations."""
    from kornia import augmentation

    from srlit import degradation
    from srlit.data import image_folder, mixed, paired_folder
    from srlit.data.shards import sets

    kornia_stages = {
        f"{augmentation.__name__}.{name}": known
        for name, known in vars(augmentation).items()
        if inspect.isclass(known) and issubclass(known, augmentation.AugmentationBase2D)
    }
    photos = _classes_in([image_folder, mixed, paired_folder, sets])
    return known_generators() | photos | _classes_below(degradation) | kornia_stages


def _classes_below(package: ModuleType) -> dict[str, type]:
    """The classes that a package's modules define."""
    names = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return _classes_in([importlib.import_module(module.name) for module in names])


def _classes_in(modules: Sequence[ModuleType]) -> dict[str, type]:
    """The classes that modules define."""
    return {
        f"{module.__name__}.{name}": known
        for module in modules
        for name, known in vars(module).items()
        if inspect.isclass(known) and known.__module__ == module.__name__
    }


def known_generators() -> dict[str, type]:
    """What a checkpoint's card may name: networks of `srlit.models` with a scale."""
    return {
        name: known
        for name, known in _classes_below(models).items()
        if "scale" in inspect.signature(known).parameters
    }


def build_known(
    node: Any,  # noqa: ANN401
    where: str,
    classes: Mapping[str, type] | None = None,
) -> Any:  # noqa: ANN401
    """Build a stored, plain configuration of known classes only; nothing is imported by name.

    Args:
        node: tree of dicts, lists and values; a dict with `_target_` becomes an object.
        where: the file it came with, for the error.
        classes: name to class; `known_classes()` without it.

    Raises:
        ConfigError: a `_target_` that is none of srlit's own, or arguments it does not take.
    """
    classes = known_classes() if classes is None else classes
    if isinstance(node, list | tuple):
        return [build_known(item, where, classes) for item in node]
    if not isinstance(node, Mapping):
        return node
    arguments = {k: build_known(v, where, classes) for k, v in node.items() if k != "_target_"}
    if "_target_" not in node:
        return arguments
    if not isinstance(node["_target_"], str) or node["_target_"] not in classes:
        msg = (
            f"{where} names {node['_target_']!r}, which is none of srlit's own classes and is not "
            "imported on a file's word; for a network, give its configuration yourself (model=...)"
        )
        raise ConfigError(msg)
    try:
        return classes[node["_target_"]](**arguments)
    except TypeError as error:
        reason = str(error).split("\n")[0]
        msg = f"{where}: {node['_target_']} cannot be built: {reason}"
        raise ConfigError(msg) from error


def load_generator(path: Path, model: Any = None) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """A trained generator and the card of its checkpoint.

    Args:
        path: a checkpoint of srlit's, weights that another project stored, or an ONNX file, which
            is its own network.
        model: the user's own configuration of the network; without it the checkpoint's, or
            that of the network that the weights belong to, srlit's own or one of spandrel's.

    Raises:
        CheckpointError: no checkpoint, or weights of no known network, or that do not fit.
        ConfigError: the checkpoint names a class that is none of srlit's own.
    """
    from srlit.checkpoint import CheckpointError, load_weights
    from srlit.models.detect import recognise
    from srlit.models.onnx import SUFFIX, OnnxGenerator

    if path.suffix == SUFFIX:
        return OnnxGenerator(path), {"name": path.stem}
    weights, recorded = load_weights(path)
    card = {"name": path.stem} | (recorded or {})
    if model is not None:
        generator = build(model)
    elif recorded is not None:
        generator = _build_generator(card["model"], weights, path, "its card describes")
    elif found := recognise(weights):
        told = "its weights' names and shapes tell"
        card["model"] = found
        generator = _build_generator(found, weights, path, told)
    else:
        generator = _through_spandrel(weights, path)
    scale = getattr(generator, "scale", None)
    if not callable(generator) or type(scale) is not int or scale < 1:
        msg = f"{path}: its model is a {type(generator).__name__}, no generator with a scale"
        raise CheckpointError(msg)
    load_into(generator, weights, str(path))
    return generator, card


def load_into(generator: "nn.Module", weights: "dict[str, Tensor]", source: str) -> None:
    """Give a generator its weights.

    Raises:
        CheckpointError: they do not fit; the message lists what was expected and what came.
    """
    from srlit.checkpoint import CheckpointError
    from srlit.checkpoint.messages import weight_differences

    # A network may know its weights under other names; as it knows them they are compared.
    own_names = getattr(generator, "own_names", dict)
    try:
        generator.load_state_dict(named := own_names(weights))
    except RuntimeError as error:
        differences = weight_differences(generator.state_dict(), named)
        reason = "; ".join(differences) or str(error).splitlines()[-1].strip()
        msg = f"{source}: the weights do not fit the network: {reason}"
        raise CheckpointError(msg) from error


def _through_spandrel(weights: "Mapping[str, Tensor]", path: Path) -> "nn.Module":
    """The network of another project that weights without a card belong to.

    Raises:
        CheckpointError: they belong to none that is known.
    """
    from srlit.checkpoint import CheckpointError
    from srlit.checkpoint.messages import shapes
    from srlit.models.detect import EXPECTED
    from srlit.models.spandrel import Spandrel

    try:
        return Spandrel(scale=None, file=str(path))
    except ValueError as error:
        expected = "; or ".join(f"{name}: {names}" for name, names in EXPECTED.items())
        msg = (
            f"{path}: no srlit checkpoint, and weights of no known network: expected {expected}; "
            f"or those of one of spandrel's architectures; came {shapes(weights)}; "
            "for another network give its configuration (model=...)"
        )
        raise CheckpointError(msg) from error


def _build_generator(
    node: Any,  # noqa: ANN401
    weights: "Mapping[str, Tensor]",
    path: Path,
    described: str,
) -> Any:  # noqa: ANN401
    """The generator that a file describes, first without memory, to see that it fits the file.

    Args:
        node: its configuration.
        weights: of the file.
        path: the file.
        described: by what, for the error.

    Raises:
        CheckpointError: it is larger than the weights in the file, or its values make no network.
        ConfigError: it names a class that is no generator of srlit's own.
    """
    import torch

    from srlit.checkpoint import CheckpointError
    from srlit.checkpoint.loading import UNREADABLE
    from srlit.checkpoint.messages import shown
    from srlit.models.size_limit import at_most

    classes = known_generators()
    try:
        with at_most(weights), torch.device("meta"):
            build_known(node, str(path), classes)
        return build_known(node, str(path), classes)
    except ConfigError:
        raise
    except UNREADABLE as error:
        reason = shown(str(error).split("\n")[0])
        msg = f"{path}: the network that {described} cannot be built: {reason}"
        raise CheckpointError(msg) from error

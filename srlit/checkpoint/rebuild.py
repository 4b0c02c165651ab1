"""Objects from stored configurations. A file's word is not enough to import a module."""

import inspect
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any

from srlit.checkpoint.loading import CheckpointError
from srlit.checkpoint.messages import printable

TARGET = "_target_"


def rebuild(
    node: object, source: str, packages: Collection[str], trust: Collection[str] = ()
) -> Any:  # noqa: ANN401 - an object, or a tree that holds some
    """Build a stored, plain configuration; a dict with `_target_` becomes an object.

    Args:
        node: a tree of dicts, lists and scalars.
        source: the file it came with, for the error.
        packages: srlit's own, whose classes may be built.
        trust: top-level modules of the user's that may be imported.

    Raises:
        CheckpointError: a `_target_` that may not be built, or arguments that it does not take.
    """
    if isinstance(node, list | tuple):
        return [rebuild(item, source, packages, trust) for item in node]
    if not isinstance(node, Mapping):
        return node
    arguments = {k: rebuild(v, source, packages, trust) for k, v in node.items() if k != TARGET}
    if TARGET not in node:
        return arguments
    make = _resolve(str(node[TARGET]), source, packages, trust)
    try:
        return make(**arguments)
    except TypeError as error:
        reason = printable(str(error).split("\n")[0])
        raise CheckpointError(f"{source}: {node[TARGET]} cannot be built: {reason}") from error


def _resolve(
    target: str, source: str, packages: Collection[str], trust: Collection[str]
) -> Callable[..., Any]:
    """A class that is defined in one of the packages, or anything callable of a trusted module."""
    module, _, name = target.rpartition(".")
    top = module.partition(".")[0]
    if top in trust or _is_below(module, packages):
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise CheckpointError(f"{source}: {printable(target)}: {printable(error)}") from error
        is_own_class = inspect.isclass(found) and _is_below(found.__module__, packages)
        if callable(found) and (top in trust or is_own_class):
            return found
    raise CheckpointError(
        f"{source} names {printable(target)!r}, which is no class of {' or '.join(packages)}. "
        f"Other modules are imported only where you name them: trust=[{printable(top) or 'MODULE'}]"
    )


def _is_below(module: str, packages: Collection[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)

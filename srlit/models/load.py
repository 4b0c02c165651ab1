"""A trained generator from a file: srlit's checkpoints, other projects' weights, ONNX."""

import functools
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from srlit.checkpoint.loading import CheckpointError, load_weights
from srlit.checkpoint.messages import printable, weight_differences
from srlit.checkpoint.rebuild import rebuild
from srlit.models.onnx import SUFFIX, OnnxGenerator
from srlit.models.size_limit import build_within
from srlit.models.spandrel import Spandrel, unrecognised

log = logging.getLogger(__name__)

Weights = dict[str, Tensor]
Card = dict[str, Any]

SPANDREL = f"{Spandrel.__module__}.{Spandrel.__name__}"


def load_generator(
    path: Path, build: Callable[[], Any] | None = None, trust: Collection[str] = ()
) -> tuple[Any, Card]:
    """A trained generator, and the card that describes it.

    A checkpoint of srlit's tells in its card which class of `srlit.models` it is of, or which one
    of the user's. Networks of spandrel's, and weights without a card, are recognised by the names
    and shapes of their weights. An ONNX file is its own network.

    Args:
        path: the file.
        build: makes the user's own network; without it the file tells which one it is.
        trust: top-level modules of the user's that the card may name.

    Returns:
        The generator, and the card; of files that are not srlit's it has `name`, and `model` where
        their weights tell the network.

    Raises:
        CheckpointError: no such file, no weights of a known network, weights that do not fit, or a
            class that is not srlit's and not trusted.
    """
    if path.suffix == SUFFIX:
        return OnnxGenerator(path), {"name": path.stem}
    given = build() if build is not None else None
    fit = functools.partial(misfit, given) if isinstance(given, nn.Module) else unrecognised
    weights, recorded = load_weights(path, fit)
    card = {"name": path.stem} | (recorded or {})
    generator = given if build is not None else _build(path, weights, card, trust)
    scale = getattr(generator, "scale", None)
    if not isinstance(generator, nn.Module) or type(scale) is not int or scale < 1:
        raise CheckpointError(f"{path}: its model is a {type(generator).__name__} without a scale")
    load_into(generator, weights, str(path))
    return generator, card


def load_into(generator: nn.Module, weights: Weights, source: str) -> None:
    """Give a generator its weights.

    Raises:
        CheckpointError: they do not fit; the message lists what was expected and what came.
    """
    named = _own_names(generator, weights)
    try:
        generator.load_state_dict(named)
    except RuntimeError as error:
        differences = weight_differences(generator.state_dict(), named)
        reason = "; ".join(differences) or str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{source}: the weights do not fit the network: {reason}") from error


def misfit(generator: nn.Module, weights: Weights) -> int:
    """How many names and shapes of weights are not a generator's, or are missing; 0: they fit."""
    shapes, came = (
        {name: tuple(weight.shape) for name, weight in table.items()}
        for table in (generator.state_dict(), _own_names(generator, weights))
    )
    return len(shapes.items() ^ came.items()) + len(shapes.keys() ^ came.keys())


def _own_names(generator: nn.Module, weights: Weights) -> Weights:
    """Weights under the network's names, as it may know them under others too."""
    return dict(getattr(generator, "own_names", dict)(weights))


def load_what_fits(network: nn.Module, weights: Weights, source: str) -> None:
    """Give a network those weights that fit it; the others stay as they are, and are listed.

    Raises:
        CheckpointError: none fits.
    """
    named, own = _own_names(network, weights), network.state_dict()
    fit = {k: w for k, w in named.items() if k in own and own[k].shape == w.shape}
    if not fit:
        reason = "; ".join(weight_differences(own, named))
        raise CheckpointError(f"{source}: no weight fits the network: {reason}")
    network.load_state_dict(fit, strict=False)
    if kept := [name for name in own if name not in fit]:
        log.warning(
            "%s: %d of %d weights stay random: %s", source, len(kept), len(own), ", ".join(kept)
        )


def _build(path: Path, weights: Weights, card: Card, trust: Collection[str]) -> Any:  # noqa: ANN401
    """The network that a file describes.

    Raises:
        CheckpointError: it is unknown, larger than the file, or cannot be built.
    """
    is_foreign = "model" not in card
    model = card.setdefault("model", {"_target_": SPANDREL})
    try:
        if model.get("_target_") == SPANDREL:
            return Spandrel(scale=None, weights=weights)
        return build_within(weights, lambda: rebuild(model, "its card", ("srlit.models",), trust))
    except CheckpointError as error:
        if not is_foreign:
            raise CheckpointError(f"{path}: {error}") from error
        raise CheckpointError(
            f"{path}: no srlit checkpoint, and weights of no known network; "
            f"for another network give its configuration (model=...) ({error})"
        ) from error
    except Exception as error:  # what constructors raise for a file's values
        reason = printable(str(error).split("\n")[0])
        raise CheckpointError(f"{path}: its network cannot be built: {reason}") from error

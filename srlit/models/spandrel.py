"""Other projects' networks, through spandrel, as generators of srlit's."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from srlit.checkpoint import CheckpointError, load_weights
from srlit.checkpoint.messages import printable, shapes
from srlit.models.blocks import reflect_to
from srlit.models.size_limit import build_within, try_build

if TYPE_CHECKING:
    from spandrel import Architecture, ImageModelDescriptor, ModelDescriptor

# They take more than an image, or faces of one size only.
UNFIT = {"LaMa", "GFPGAN", "RestoreFormer"}
PREFIX = "network."  # before the names of weights, here and in checkpoints


class Spandrel(nn.Module):
    """A network of spandrel's, by its name or by its weights.

    Images are mirrored to the size that the network asks for, and the result is cropped. What the
    network computes stays as it is: it adds no interpolated input, and the result is not clamped.

    Args:
        scale: upscaling factor, >= 1, which the network must have; None takes it as it is.
        architecture: a name in `architectures()`.
        arguments: the architecture's own, by their names.
        file: weights as another project stored them, instead of both: their names and shapes tell
            architecture and arguments.
        weights: the same, already loaded.

    Raises:
        ValueError: an unknown architecture, arguments it does not take, or another scale.
        CheckpointError: a file that cannot be read, or weights of no known architecture.

    Source: https://github.com/chaiNNer-org/spandrel
    """

    def __init__(
        self,
        *,
        scale: int | None,
        architecture: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        file: str | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        weights = weights if file is None else _foreign_weights(Path(file).expanduser())
        if weights is not None:
            descriptor = _from_weights(_without_prefix(weights), file or "weights")
            network: nn.Module = descriptor.model
        else:
            network, descriptor = _by_name(architecture, arguments or {})
        described = f"{descriptor.architecture.name} ({file or 'model.arguments'})"
        if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
            raise ValueError(f"model: {described} takes and gives other images than RGB")
        if scale is not None and descriptor.scale != scale:
            raise ValueError(f"model.scale={scale}, but {described} upscales by {descriptor.scale}")
        self.scale = descriptor.scale
        self.network = network.train().requires_grad_(requires_grad=True)
        self.architecture = descriptor.architecture
        self.size_requirements = descriptor.size_requirements
        self._call = descriptor._call_fn  # noqa: SLF001 - its public call takes no gradients

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and enlarge; the result is not clamped."""
        h, w = lr.shape[-2:]
        right, below = self.size_requirements.get_padding(w, h)
        sr: Tensor = self._call(self.network, reflect_to(lr, h + below, w + right))
        return sr[..., : h * self.scale, : w * self.scale]

    def own_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights as the architecture's own project names them, under the names here."""
        if all(name.startswith(PREFIX) for name in weights):
            return dict(weights)
        try:
            load = functools.partial(self.architecture.load, dict(weights))
            weights = build_within(weights, load).model.state_dict()
        except Exception:  # noqa: BLE001, S110 - of another architecture: its names will tell
            pass
        return {f"{PREFIX}{name}": value for name, value in weights.items()}


def architectures() -> dict[str, tuple["Architecture[nn.Module]", type[nn.Module]]]:
    """Name to spandrel's description and class of every network that maps images to images."""
    import sys

    from spandrel import MAIN_REGISTRY

    found = {}
    for support in MAIN_REGISTRY.architectures():
        module = sys.modules[type(support.architecture).__module__]
        for name in set(module.__all__) - {type(support.architecture).__name__} - UNFIT:
            found[name] = support.architecture, getattr(module, name)
    return dict(sorted(found.items()))


def _by_name(
    name: str | None, arguments: Mapping[str, Any]
) -> tuple[nn.Module, "ImageModelDescriptor[nn.Module]"]:
    """A network with random weights, and what spandrel knows of such ones."""
    known = architectures()
    if name not in known:
        raise ValueError(f"model.architecture={name!r}: expected one of {', '.join(known)}")
    architecture, make = known[name]
    try:
        network = make(**arguments)
        # From the weights alone, so without what they do not tell, such as dropout.
        descriptor = architecture.load(dict(network.state_dict()))
    except Exception as error:
        msg = f"model.arguments={dict(arguments)}: no {name} can be built of them ({error})"
        raise ValueError(msg) from error
    return network, _described(descriptor)


def _foreign_weights(path: Path) -> dict[str, Tensor]:
    """Weights of another project's file.

    Raises:
        CheckpointError: the file cannot be read, or is a checkpoint of srlit's.
    """
    weights, card = load_weights(path, unrecognised)
    if card is not None:
        raise CheckpointError(f"model.file={path} is a checkpoint of srlit's: use init_from")
    return weights


def unrecognised(weights: Mapping[str, Tensor]) -> int:
    """0 where weights are a network's, 1 where none can be built of them, 2 where none is known."""
    from spandrel import MAIN_REGISTRY

    table = dict(weights)
    try:
        # Its own `load` would strip some prefixes.
        for support in MAIN_REGISTRY.architectures("detection"):
            if support.detect(table):
                try_build(table, functools.partial(support.architecture.load, table))
                return 0
    except Exception:  # noqa: BLE001 - detection reads names and shapes that a file may choose
        return 1
    return 2


def _without_prefix(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as the architecture's own project names them; `Spandrel.network` adds a prefix."""
    if all(name.startswith(PREFIX) for name in weights):
        return {name.removeprefix(PREFIX): weight for name, weight in weights.items()}
    return dict(weights)


def _from_weights(weights: dict[str, Tensor], source: str) -> "ImageModelDescriptor[nn.Module]":
    """The network that weights' names and shapes tell, with these weights.

    Raises:
        CheckpointError: they are of no known architecture, or tell of more than there is.
    """
    from spandrel import MAIN_REGISTRY, UnsupportedModelError

    try:
        return _described(build_within(weights, lambda: MAIN_REGISTRY.load(dict(weights))))
    except UnsupportedModelError as error:
        raise CheckpointError(
            f"{source}: expected weights of one of {', '.join(architectures())}; "
            f"came {shapes(weights)}"
        ) from error
    except Exception as error:  # detection reads names and shapes that a file may choose
        reason = printable(str(error).split("\n")[0])
        msg = f"{source}: its network cannot be built: {reason}; came {shapes(weights)}"
        raise CheckpointError(msg) from error


def _described(descriptor: "ModelDescriptor") -> "ImageModelDescriptor[nn.Module]":
    """The descriptor itself.

    Raises:
        ValueError: the network does not map images to images.
    """
    from spandrel import ImageModelDescriptor

    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.architecture.id in UNFIT:
        raise ValueError(f"{descriptor.architecture.name} maps more than an image, or faces only")
    return descriptor

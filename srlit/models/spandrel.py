"""Other projects' networks, through spandrel, as generators of srlit's."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from srlit.checkpoint import CheckpointError, load_weights
from srlit.checkpoint.loading import UNREADABLE
from srlit.checkpoint.messages import shapes, shown
from srlit.models.blocks import reflect_to
from srlit.models.size_limit import at_most

if TYPE_CHECKING:
    from spandrel import Architecture, ImageModelDescriptor, ModelDescriptor

# They take more than an image, or faces of one size only.
UNFIT = {"LaMa", "GFPGAN", "RestoreFormer"}


class Spandrel(nn.Module):
    """A network of spandrel's, by its name or from a pretrained file.

    Images are mirrored to the size that the network asks for, and the result is cropped. What the
    network computes stays as it is: it adds no interpolated input, and the result is not clamped.

    Args:
        scale: upscaling factor, >= 1, which the network must have; None takes it as it is.
        architecture: a name in `architectures()`.
        arguments: the architecture's own, by their names.
        file: weights as another project stored them, instead of both: their names and shapes tell
            architecture and arguments.

    Raises:
        ValueError: an unknown architecture, arguments it does not take, or another scale.
        CheckpointError: a file that cannot be read, or of no known architecture.

    Source: https://github.com/chaiNNer-org/spandrel
    """

    def __init__(
        self,
        *,
        scale: int | None,
        architecture: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        file: str | None = None,
    ) -> None:
        super().__init__()
        if file is not None:
            descriptor = _from_file(Path(file).expanduser())
            network: nn.Module = descriptor.model
        else:
            network, descriptor = _by_name(architecture, arguments or {})
        described = f"{descriptor.architecture.name} ({file or 'model.arguments'})"
        if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
            msg = f"model: {described} takes and gives other images than RGB"
            raise ValueError(msg)
        if scale is not None and descriptor.scale != scale:
            msg = f"model.scale={scale}, but {described} upscales by {descriptor.scale}"
            raise ValueError(msg)
        self.scale = descriptor.scale
        self.network = network.train().requires_grad_(requires_grad=True)
        self.architecture = descriptor.architecture
        self.needs = descriptor.size_requirements
        self._call = descriptor._call_fn  # noqa: SLF001 - its public call takes no gradients

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and enlarge; the result is not clamped."""
        h, w = lr.shape[-2:]
        right, below = self.needs.get_padding(w, h)
        sr: Tensor = self._call(self.network, reflect_to(lr, h + below, w + right))
        return sr[..., : h * self.scale, : w * self.scale]

    def own_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights as the architecture's own project names them, under the names here."""
        if all(name.startswith("network.") for name in weights):
            return dict(weights)
        try:
            with at_most(weights):
                weights = self.architecture.load(dict(weights)).model.state_dict()
        except UNREADABLE:
            pass  # of another architecture: comparing the names will tell
        return {f"network.{name}": value for name, value in weights.items()}


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
        msg = f"model.architecture={name!r}: expected one of {', '.join(known)}"
        raise ValueError(msg)
    architecture, make = known[name]
    try:
        network = make(**arguments)
        # From the weights alone, so without what they do not tell, such as dropout.
        descriptor = architecture.load(dict(network.state_dict()))
    except UNREADABLE as error:
        msg = f"model.arguments={dict(arguments)}: no {name} can be built of them ({error})"
        raise ValueError(msg) from error
    return network, _described(descriptor)


def _from_file(path: Path) -> "ImageModelDescriptor[nn.Module]":
    """The network that a file's names and shapes tell, with its weights.

    Raises:
        CheckpointError: the file cannot be read, or is of no known architecture.
    """
    from spandrel import MAIN_REGISTRY, UnsupportedModelError

    weights, card = load_weights(path)
    if card is not None:
        msg = f"model.file={path} is a checkpoint of srlit's: use init_from, or checkpoint"
        raise CheckpointError(msg)
    try:
        with at_most(weights):
            return _described(MAIN_REGISTRY.load(dict(weights)))
    except UnsupportedModelError as error:
        msg = (
            f"model.file={path}: expected weights of one of {', '.join(architectures())}; "
            f"came {shapes(weights)}"
        )
        raise CheckpointError(msg) from error
    except UNREADABLE as error:
        reason = shown(str(error).split("\n")[0])
        msg = f"model.file={path}: its network cannot be built: {reason}; came {shapes(weights)}"
        raise CheckpointError(msg) from error


def _described(descriptor: "ModelDescriptor") -> "ImageModelDescriptor[nn.Module]":
    """The same, if it maps images to images.

    Raises:
        ValueError: it does not.
    """
    from spandrel import ImageModelDescriptor

    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.architecture.id in UNFIT:
        msg = f"{descriptor.architecture.name} maps more than an image, or faces only"
        raise ValueError(msg)
    return descriptor

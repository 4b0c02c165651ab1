"""Pretrained feature extractors for losses and metrics.

The weights are looked up in this order: an explicit folder (`weights.dir`), the folder in
`SRLIT_WEIGHTS`, torchvision's cache and download. A folder holds `<net>_features.safetensors` with
torchvision's keys `features.N...`, and may hold its SHA-256 beside it; `srlit prepare weights`
writes both. One frozen instance per network serves all losses and metrics; no checkpoint contains
it.
"""

import logging
import os
import socket
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from srlit.utils.atomic import atomic_file, write_text
from srlit.utils.file_lock import exclusive_lock
from srlit.utils.fingerprint import file_sha256
from srlit.utils.small_files import read_text

log = logging.getLogger(__name__)

Features = dict[str, Float[Tensor, "n _ _ _"]]  # by layer

NETS = ("alexnet", "squeezenet1_1", "vgg16", "vgg19")
UNTRAINED_SEED = 20260101
DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer: a silent firewall must not block a run

# All backbones in memory, to compile each of them.
_LOADED: "WeakSet[Backbone]" = WeakSet()


class MissingWeightsError(FileNotFoundError):
    """Pretrained weights that are missing, damaged or another network's."""


class _NotFoundError(MissingWeightsError):
    """Raised when weights are missing, not when they are damaged."""


class Backbone(nn.Module):
    """A frozen ImageNet feature extractor.

    Args:
        net: one of `NETS`.
        features: torchvision's `features` of that network.
        pretrained: whether the weights are real; False marks random ones.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: str, features: nn.Sequential, *, pretrained: bool) -> None:
        super().__init__()
        self.net = net
        self.pretrained = pretrained
        self.features = features.eval().requires_grad_(requires_grad=False)
        # Faster with tensor cores and on CPUs; `normalised` gives images this layout too.
        self.features.to(memory_format=torch.channels_last)
        for module in self.features.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # would overwrite the layer before it
        self.layers = layer_names(net, features)
        # torchvision's normalisation for all four networks.
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        _LOADED.add(self)

    def compile(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torch's own
        """Compile `activations`, which losses and metrics share; once."""
        if "activations" not in vars(self):
            self.activations = torch.compile(self.activations, *args, **kwargs)  # type: ignore[method-assign]

    def train(self, mode: bool = True) -> "Backbone":  # noqa: ARG002 - nn.Module's
        """Stay in evaluation mode."""
        return self

    def forward(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> Features:
        """Features at the named layers.

        Args:
            image: RGB in [0, 1].
            layers: names from `self.layers`.
        """
        return self.activations(self.normalised(image), layers)

    def normalised(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """An image in [0, 1] in the range that the network was trained on."""
        return ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def activations(self, x: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> Features:
        """As `forward`, for a normalised image."""
        wanted = {self.layers[name]: name for name in layers}
        found: dict[str, Tensor] = {}
        for index, module in enumerate(self.features[: max(wanted) + 1]):
            x = module(x)
            if index in wanted:
                found[wanted[index]] = x
        return found


def layer_names(net: str, features: nn.Sequential) -> dict[str, int]:
    """Name to index in `features`.

    VGG: conv{block}_{i} before and relu{block}_{i} after the activation; AlexNet: relu1 ... relu5;
    SqueezeNet: relu1, fire2 ... fire9 as in its paper.
    """
    if net.startswith("vgg"):
        return _vgg_names(features)
    if net == "squeezenet1_1":
        fires = [i for i, m in enumerate(features) if type(m).__name__ == "Fire"]
        return {"relu1": 1} | {f"fire{k}": i for k, i in enumerate(fires, start=2)}
    activations = [i for i, m in enumerate(features) if isinstance(m, nn.ReLU)]
    return {f"relu{k}": i for k, i in enumerate(activations, start=1)}


def _vgg_names(features: nn.Sequential) -> dict[str, int]:
    """Convolutions are counted per block; max-pooling ends a block."""
    names: dict[str, int] = {}
    block, conv = 1, 0
    for index, module in enumerate(features):
        if isinstance(module, nn.MaxPool2d):
            block, conv = block + 1, 0
        elif isinstance(module, nn.Conv2d):
            conv += 1
            names[f"conv{block}_{conv}"] = index
        else:
            names[f"relu{block}_{conv}"] = index
    return names


# -- loading ------------------------------------------------------------------------------------


def load_backbone(
    net: str, directory: str | None = None, *, allow_untrained: bool = False
) -> Backbone:
    """The one instance of a backbone in this process, for all that look in the same folders.

    Args:
        net: one of `NETS`.
        directory: folder with `<net>_features.safetensors`; None looks further.
        allow_untrained: if no weights are found, give a random network, marked as such.

    Raises:
        ValueError: `net` is unknown.
        MissingWeightsError: none of the three places has the weights, or a file is damaged.
    """
    if net not in NETS:
        raise ValueError(f"unknown backbone {net!r}: expected one of {', '.join(NETS)}")
    named = [directory, os.environ.get("SRLIT_WEIGHTS")]
    folders = tuple(Path(name).expanduser() for name in named if name)
    return (_pretrained_or_random if allow_untrained else _pretrained)(net, folders)


# `_pretrained_or_random` goes through the cache of `_pretrained`, so that a loss that allows
# untrained weights and a metric that does not share one instance.


@lru_cache(maxsize=8)
def _pretrained(net: str, folders: tuple[Path, ...]) -> Backbone:
    files = [folder / features_file(net) for folder in folders]
    if file := next((file for file in files if file.is_file()), None):
        return Backbone(net, read_features(net, file), pretrained=True)
    try:
        state = torchvision_state(net)
    except OSError as error:
        missing = f"{' and '.join(map(str, files))}: no such file" if files else "no folder is set"
        raise _NotFoundError(
            f"No pretrained weights for {net}: {missing}; torchvision could not download them "
            f"({error}).\nPut {features_file(net)} into a folder and set weights.dir=FOLDER or the "
            "environment variable SRLIT_WEIGHTS (srlit prepare weights weights.dir=FOLDER writes "
            "it where there is a network), or run once with network access so that torchvision "
            "can download it."
        ) from error
    return Backbone(net, _build(net, state), pretrained=True)


@lru_cache(maxsize=8)
def _pretrained_or_random(net: str, folders: tuple[Path, ...]) -> Backbone:
    """Random features where no weights are found; a damaged file is still an error."""
    try:
        return _pretrained(net, folders)
    except _NotFoundError as error:
        log.warning("%s\nContinuing with UNTRAINED random features.", error)
        return Backbone(net, _random_features(net), pretrained=False)


def compile_loaded() -> None:
    """Compile every backbone in memory."""
    for backbone in _LOADED:
        backbone.compile()


def forget_loaded() -> None:
    """Look up all weights again from now on."""
    _pretrained.cache_clear()
    _pretrained_or_random.cache_clear()


def torchvision_state(net: str) -> dict[str, Tensor]:
    """The `features` of torchvision's ImageNet weights, from its cache or downloaded and checked.

    Raises:
        OSError: there is no network and no cached file, or a download has another checksum.
    """
    import torchvision  # takes seconds

    weights: Any = torchvision.models.get_model_weights(net).IMAGENET1K_V1
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        state = weights.get_state_dict(progress=True, check_hash=True)
    except RuntimeError as error:  # another checksum
        raise OSError(f"{weights.url}: {error}") from error
    finally:
        socket.setdefaulttimeout(before)
    return {name: value for name, value in state.items() if name.startswith("features.")}


def _build(net: str, state: dict[str, Tensor]) -> nn.Sequential:
    features = _empty_features(net)
    kept = {name.removeprefix("features."): value.float() for name, value in state.items()}
    features.load_state_dict(kept, assign=True)
    return features


def _empty_features(net: str) -> nn.Sequential:
    """The network without memory for its weights: nothing random is drawn."""
    import torchvision

    with torch.device("meta"):
        features: nn.Sequential = getattr(torchvision.models, net)(weights=None).features
    return features


def _random_features(net: str) -> nn.Sequential:
    """He-initialised features from a fixed seed; the global random state is untouched."""
    features = _empty_features(net).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(UNTRAINED_SEED)
    for module in features.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return features


# -- files --------------------------------------------------------------------------------------


def features_file(net: str) -> str:
    """Name of the file with a network's features."""
    return f"{net}_features.safetensors"


def digest_file(path: Path) -> Path:
    """The file with the SHA-256 of another one, in the format of sha256sum."""
    return path.with_name(f"{path.name}.sha256")


def read_features(net: str, path: Path) -> nn.Sequential:
    """Features from a file.

    Raises:
        MissingWeightsError: the file is damaged, or another network's.
    """
    digest = digest_file(path)
    if digest.is_file() and read_text(digest).split()[:1] != [file_sha256(path)]:
        raise MissingWeightsError(f"{path}: its SHA-256 differs from {digest}; remove both")
    try:
        return _build(net, load_file(path))
    except (SafetensorError, RuntimeError) as error:
        msg = f"{path}: expected torchvision's {net}.features as safetensors: {error}"
        raise MissingWeightsError(msg) from error


def save_features(net: str, folder: Path) -> Path:
    """See that a folder holds a network's features: verify the file, or write it.

    Raises:
        OSError: torchvision cannot download the weights, or the folder cannot be written to.
        MissingWeightsError: the file is damaged, or another network's.
    """
    path = folder / features_file(net)
    if not path.exists():
        with exclusive_lock(folder / f".{net}.lock", f"fetching {net}"):
            if not path.exists():  # another process may have written it meanwhile
                _write_features(path, torchvision_state(net))
    read_features(net, path)
    log.info("%s: verified, sha256 %s", path, file_sha256(path))
    return path


def _write_features(path: Path, state: dict[str, Tensor]) -> None:
    with atomic_file(path) as sibling:
        save_file({name: value.contiguous() for name, value in state.items()}, sibling)
        # First the digest: features without one count as put there by hand.
        write_text(digest_file(path), f"{file_sha256(sibling)}  {path.name}\n")

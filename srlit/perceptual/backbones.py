"""Where pretrained backbones come from, and what their layers are called.

Looked up in this order: an explicit folder (`weights.dir`), the folder in `SRLIT_WEIGHTS`,
torchvision's cache and download. A folder holds `<net>_features.safetensors` with torchvision's
keys `features.N...`, and may hold its SHA-256 beside it; `srlit.prepare weights` fills one. One
instance a network serves losses and metrics alike; it is frozen, and no checkpoint contains it.
"""

import hashlib
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.error import URLError
from weakref import WeakSet

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.perceptual.dists import FeatureMaps, dists, l2_pool

log = logging.getLogger(__name__)

NETS = ("alexnet", "squeezenet1_1", "vgg16", "vgg19")
UNTRAINED_SEED = 20260101
DOWNLOAD_TIMEOUT = 20.0


# The backbones in memory, for all that is done with every one of them.
_LOADED: "WeakSet[Backbone]" = WeakSet()


class MissingWeightsError(FileNotFoundError):
    """No pretrained weights for a backbone were found in any of the three places."""


class _NowhereError(MissingWeightsError):
    """They are nowhere, as opposed to wrong."""


class Backbone(nn.Module):
    """A frozen ImageNet feature extractor.

    Args:
        net: one of `NETS`.
        features: torchvision's `features` of that network.
        pretrained: whether the weights are real; False names a random, untrained network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: str, features: nn.Sequential, *, pretrained: bool) -> None:
        super().__init__()
        self.net = net
        self.pretrained = pretrained
        # Channels last: what tensor cores read; on CPUs it is faster too. Images follow suit.
        self.features = features.eval().requires_grad_(requires_grad=False)
        self.features.to(memory_format=torch.channels_last)
        for module in self.features.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # a layer's output must survive the next layer
        self.layers = layer_names(net, features)
        # torchvision's normalisation for all four networks.
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        _LOADED.add(self)

    def compile(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torch's own
        """Compile what losses and metrics alike go through, once."""
        if "activations" not in vars(self):
            self.activations = torch.compile(self.activations, *args, **kwargs)  # type: ignore[method-assign]

    def train(self, mode: bool = True) -> "Backbone":  # noqa: ARG002 - nn.Module's
        """Stay in evaluation mode: the features are a yardstick."""
        return self

    def forward(
        self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]
    ) -> dict[str, Float[Tensor, "n _ _ _"]]:
        """Features at the named layers.

        Args:
            image: RGB in [0, 1].
            layers: names from `self.layers`.
        """
        return self.activations(self.normalised(image), layers)

    def normalised(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """An image as the network was trained on it."""
        return ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def activations(
        self, x: Float[Tensor, "n 3 h w"], layers: Iterable[str]
    ) -> dict[str, Float[Tensor, "n _ _ _"]]:
        """As `forward`, for an image that is normalised already."""
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
    """Count convolutions within the blocks that max-pooling ends."""
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


def features_file(net: str) -> str:
    """What the file with a network's features is called."""
    return f"{net}_features.safetensors"


def digest_file(path: Path) -> Path:
    """Where the SHA-256 of a file is noted, as sha256sum writes and reads it."""
    return path.with_name(f"{path.name}.sha256")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folders(directory: str | None) -> list[Path]:
    """The folders to look in: the explicit one, then `SRLIT_WEIGHTS`."""
    named = [directory, os.environ.get("SRLIT_WEIGHTS")]
    return [Path(name).expanduser() for name in named if name]


def load_backbone(
    net: str, directory: str | None = None, *, allow_untrained: bool = False
) -> Backbone:
    """The one instance of a backbone in this process, for all that look in the same folders.

    Args:
        net: one of `NETS`.
        directory: folder with `<net>_features.safetensors`; None looks further.
        allow_untrained: give a random network, marked as such, instead of an error.

    Raises:
        ValueError: `net` is unknown.
        MissingWeightsError: none of the three places has the weights, or a file is another one.
    """
    if net not in NETS:
        msg = f"unknown backbone {net!r}: expected one of {', '.join(NETS)}"
        raise ValueError(msg)
    load = _pretrained_or_random if allow_untrained else _pretrained
    return load(net, tuple(folders(directory)))


# Cached by what decides which weights they hold, and not by how they were asked for: a loss that
# may be untrained and a metric that may not share what is there.


@lru_cache(maxsize=8)
def _pretrained(net: str, places: tuple[Path, ...]) -> Backbone:
    """A backbone with its weights; MissingWeightsError without."""
    features, reason = _from_folders(net, list(places))
    if features is None:
        features, refusal = _from_torchvision(net)
        reason = f"{reason}; {refusal}"
    if features is None:
        raise _NowhereError(_advice(net, reason))
    return Backbone(net, features, pretrained=True)


@lru_cache(maxsize=8)
def _pretrained_or_random(net: str, places: tuple[Path, ...]) -> Backbone:
    """The same, or random features where there are no weights; a wrong file is still an error."""
    try:
        return _pretrained(net, places)
    except _NowhereError as error:
        log.warning("%s\nGoing on with UNTRAINED random features.", error)
        return Backbone(net, _random_features(net), pretrained=False)


def compile_loaded() -> None:
    """Let torch.compile every backbone in memory."""
    for backbone in _LOADED:
        backbone.compile()


def forget_loaded() -> None:
    """Look for all weights anew from now on, such as after files were put into place."""
    for cached in (_pretrained, _pretrained_or_random, _lpips, _dists):
        cached.cache_clear()


# Name in the literature -> (backbone, layers whose differences LPIPS weighs).
LPIPS_NETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "alex": ("alexnet", ("relu1", "relu2", "relu3", "relu4", "relu5")),
    "vgg": ("vgg16", ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
    "squeeze": (
        "squeezenet1_1",
        ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"),
    ),
}


class LPIPSDistance(nn.Module):
    """Learned perceptual distance of the lpips package (Zhang et al. 2018), version 0.1.

    Its linear heads come with the package, its features from the shared backbone.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        backbone: the features of that network.
    """

    def __init__(self, net: str, backbone: Backbone) -> None:
        import lpips

        super().__init__()
        with torch.device("meta"):
            model = lpips.LPIPS(pretrained=False, net=net, pnet_rand=True, verbose=False)
        heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
        state = torch.load(heads, map_location="cpu", weights_only=True)
        model.load_state_dict(state, strict=False, assign=True)
        self.net = net
        self.trained = backbone.pretrained
        self.backbone = backbone
        self.layers = LPIPS_NETS[net][1]
        self.scaling = lpips.ScalingLayer()
        self.heads: nn.ModuleList = model.lins
        self.eval().requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> "LPIPSDistance":  # noqa: ARG002 - nn.Module's
        """Stay in evaluation mode: the heads' dropout must never run."""
        return self

    def forward(
        self, sr: Float[Tensor, "n 3 h w"], hr: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """Distance of each pair of images in [0, 1] in float32; 0 for equal ones."""
        with torch.autocast(sr.device.type, enabled=False):
            return self.between(self.features(sr.float()), self.features(hr.float()))

    def features(self, image: Float[Tensor, "n 3 h w"]) -> dict[str, Float[Tensor, "n _ _ _"]]:
        """What `between` compares of images in [0, 1], in the precision at hand."""
        scaled = self.scaling(2 * image - 1).contiguous(memory_format=torch.channels_last)
        return self.backbone.activations(scaled, self.layers)

    def between(
        self, sr: Mapping[str, Float[Tensor, "n _ _ _"]], hr: Mapping[str, Float[Tensor, "n _ _ _"]]
    ) -> Float[Tensor, " n"]:
        """Distance of each pair by its features (eq. 1), in float32."""
        with torch.autocast(self.scaling.shift.device.type, enabled=False):
            parts = [
                head((unit(sr[layer]) - unit(hr[layer])).square()).mean((1, 2, 3))
                for layer, head in zip(self.layers, self.heads, strict=True)
            ]
        return torch.stack(parts).sum(0)


def unit(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Each position's features at length 1, in float32.

    The lpips package takes the root of a sum of squares, whose slope is NaN where all features are
    0, as in a dark corner; a norm has the slope 0 there.
    """
    x = x.float()
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10)


def load_lpips(
    net: str, directory: str | None = None, *, allow_untrained: bool = False
) -> LPIPSDistance:
    """The one LPIPS of this kind in this process, on the one backbone.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        directory: as in `load_backbone`.
        allow_untrained: as in `load_backbone`.

    Raises:
        ValueError: `net` is unknown.
        MissingWeightsError: its backbone is nowhere to be had.
    """
    if net not in LPIPS_NETS:
        msg = f"unknown LPIPS network {net!r}: expected one of {', '.join(LPIPS_NETS)}"
        raise ValueError(msg)
    backbone = load_backbone(LPIPS_NETS[net][0], directory, allow_untrained=allow_untrained)
    return _lpips(net, backbone)


@lru_cache(maxsize=8)
def _lpips(net: str, backbone: Backbone) -> LPIPSDistance:
    return LPIPSDistance(net, backbone)


class DISTSDistance(nn.Module):
    """Deep image structure and texture similarity as a distance (Ding et al. 2020).

    In 0 to 2, 0 for equal images. torchmetrics has it too, but builds a VGG16 anew at each call and
    downloads its weights by itself; here the features are those of the shared backbone. Images are
    taken at their size, as there; the authors' own script shrinks larger ones to 256 pixels.

    Args:
        backbone: a VGG16.

    Raises:
        MissingWeightsError: the learned weights of the channels are not there.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        alpha, beta = dists_weights(dists_weights_file())
        self.register_buffer("alpha", alpha, persistent=False)
        self.register_buffer("beta", beta, persistent=False)
        self.trained = backbone.pretrained
        self.backbone = backbone
        self.ends = {backbone.layers[name] for name in LPIPS_NETS["vgg"][1]}  # of the five stages

    def features(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """The image itself and the five stages, with L2 pooling in the place of the maxima.

        Convolutions run in the precision at hand; pooling, and what is given, is float32.
        """
        x, found = self.backbone.normalised(image), [image]
        for index, module in enumerate(self.backbone.features[: max(self.ends) + 1]):
            if isinstance(module, nn.MaxPool2d):
                with torch.autocast(image.device.type, enabled=False):
                    x = l2_pool(x.float())
                continue
            x = module(x)
            if index in self.ends:
                found.append(x.float())
        return found

    def between(self, sr: FeatureMaps, hr: FeatureMaps) -> Float[Tensor, " n"]:
        """Distance of each pair by its features, in float32."""
        channels = [stage.shape[1] for stage in sr]
        with torch.autocast(self.alpha.device.type, enabled=False):
            return dists(sr, hr, self.alpha.split(channels), self.beta.split(channels))


def dists_weights(path: Path) -> tuple[Tensor, Tensor]:
    """Alpha and beta as the authors learned them, which the torchmetrics package brings along.

    Without them the distance is another one and must not be called DISTS.

    Raises:
        MissingWeightsError: the file is not there.
    """
    if not path.is_file():
        msg = (
            f"DISTS: its learned weights alpha and beta are missing: {path} does not exist. They "
            "come with the package torchmetrics (1.9 has them); install that version, or do "
            "without DISTS in loss.terms and metrics.names"
        )
        raise MissingWeightsError(msg)
    state = torch.load(path, map_location="cpu", weights_only=True)
    total = state["alpha"].sum() + state["beta"].sum()
    alpha, beta = ((state[name] / total).detach().flatten() for name in ("alpha", "beta"))
    return alpha, beta


def dists_weights_file() -> Path:
    """Where torchmetrics keeps alpha and beta."""
    import torchmetrics

    return Path(torchmetrics.__file__).parent / "functional/image/dists_models/weights.pt"


def load_dists(directory: str | None = None, *, allow_untrained: bool = False) -> DISTSDistance:
    """The one DISTS in this process, on the one VGG16.

    Args:
        directory: as in `load_backbone`.
        allow_untrained: as in `load_backbone`.

    Raises:
        MissingWeightsError: no VGG16, or no learned weights of its channels.
    """
    return _dists(load_backbone("vgg16", directory, allow_untrained=allow_untrained))


@lru_cache(maxsize=2)
def _dists(backbone: Backbone) -> DISTSDistance:
    return DISTSDistance(backbone)


def _advice(net: str, reason: str) -> str:
    return (
        f"No pretrained weights for {net}: {reason}.\n"
        f"Put {features_file(net)} into a folder and name it by weights.dir=FOLDER or by the "
        "environment variable SRLIT_WEIGHTS (python -m srlit.prepare weights weights.dir=FOLDER "
        "fills one where there is a network), or run once with network access so that torchvision "
        "can download them."
    )


def _empty_features(net: str) -> nn.Sequential:
    """The network without memory for its weights, so that nothing random is drawn."""
    import torchvision

    with torch.device("meta"):
        features: nn.Sequential = getattr(torchvision.models, net)(weights=None).features
    return features


def _from_folders(net: str, places: list[Path]) -> tuple[nn.Sequential | None, str]:
    """Features from the first folder that has them, or why none has."""
    if not places:
        return None, "neither weights.dir nor SRLIT_WEIGHTS is set"
    paths = [place / features_file(net) for place in places]
    for path in paths:
        if path.is_file():
            return read_features(net, path), ""
    return None, f"{' and '.join(map(str, paths))} does not exist"


def read_features(net: str, path: Path) -> nn.Sequential:
    """Features from a file.

    Raises:
        MissingWeightsError: the file is damaged, or another network's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    noted = digest_file(path)
    if noted.is_file() and noted.read_text().split()[:1] != [sha256_of(path)]:
        msg = f"{path} is not what was written: its SHA-256 differs from {noted}; remove both"
        raise MissingWeightsError(msg)
    try:
        state = {k.removeprefix("features."): v.float() for k, v in load_file(path).items()}
    except SafetensorError as error:
        msg = f"{path} cannot be read as safetensors ({error}); remove it"
        raise MissingWeightsError(msg) from error
    features = _empty_features(net)
    expected = features.state_dict()
    wrong = sorted(
        (expected.keys() ^ state.keys())
        | {k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape}
    )
    if wrong:
        msg = f"{path} is not torchvision's {net}.features: {', '.join(wrong[:5])} do not fit"
        raise MissingWeightsError(msg)
    features.load_state_dict(state, assign=True)
    return features


def _from_torchvision(net: str) -> tuple[nn.Sequential | None, str]:
    """Features from torchvision's cache or download, or why not."""
    import torchvision

    weights: Any = torchvision.models.get_model_weights(net).IMAGENET1K_V1
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # a silent firewall must not hold a run up
    try:
        state = weights.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        return None, f"torchvision could not download them ({error})"
    finally:
        socket.setdefaulttimeout(before)
    features = _empty_features(net)
    prefix = "features."
    kept = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    features.load_state_dict(kept, assign=True)
    return features, ""


def _random_features(net: str) -> nn.Sequential:
    """He-initialised features from a fixed seed that leaves the global random state alone."""
    features = _empty_features(net).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(UNTRAINED_SEED)
    for module in features.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return features

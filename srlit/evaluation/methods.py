"""The methods that an evaluation compares: interpolators, networks and blends of networks."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from srlit.checkpoint import resolve_checkpoint
from srlit.checkpoint.file_format import save
from srlit.checkpoint.runs import read_best
from srlit.evaluation.weight_interpolation import interpolate_weights
from srlit.inference.upscalers import NetworkUpscaler, Upscaler
from srlit.utils.fingerprint import file_sha256, fingerprint

Load = Callable[[Path], tuple[nn.Module, dict[str, Any]]]


class NetworkLoader:
    """Loads networks from checkpoint files as upscalers.

    Args:
        load: reads a generator and the card of its checkpoint.
        device: where networks run.
        scale: the factor that networks must have; None accepts any.
        tile: side of a tile in LR pixels; None takes images of any size whole.
        overlap: minimum overlap of tiles in LR pixels.
        model: the user's own configuration of the networks, if any; part of their fingerprint.
    """

    def __init__(
        self,
        load: Load,
        *,
        device: torch.device,
        scale: int | None = None,
        tile: int | None = None,
        overlap: int = 32,
        model: object = None,
    ) -> None:
        self._load = load
        self.device, self.scale = device, scale
        self.tile, self.overlap, self.model = tile, overlap, model

    def upscaler(
        self, name: str, paths: Sequence[Path], alphas: Sequence[float] = (1.0,)
    ) -> NetworkUpscaler:
        """The network of one checkpoint, or of the weighted mean of several.

        Args:
            name: what tables call it.
            paths: checkpoint files.
            alphas: the weight of each; their sum is 1.
        """
        used = [
            (file_sha256(path), alpha) for path, alpha in zip(paths, alphas, strict=True) if alpha
        ]
        return NetworkUpscaler(
            name,
            self.blend(paths, alphas)[0],
            device=self.device,
            tile=self.tile,
            overlap=self.overlap,
            source=fingerprint(used, self.model),
        )

    def blend(
        self, paths: Sequence[Path], alphas: Sequence[float]
    ) -> tuple[nn.Module, dict[str, Any]]:
        """The generator of one checkpoint or of the mean weights of several, and its card.

        Raises:
            ValueError: the networks have different configurations, or no weights of their own.
        """
        loaded = [self.generator(path) for path in paths]
        generator, card = loaded[0]
        if len(paths) == 1:
            return generator, card
        names = " and ".join(map(str, paths))
        states = [other.state_dict() for other, _ in loaded]
        if not all(states):
            msg = f"{names}: an ONNX file has no weights to blend; expected checkpoints"
            raise ValueError(msg)
        if any(other.get("model") != card.get("model") for _, other in loaded):
            msg = f"{names}: networks of different configurations cannot be blended"
            raise ValueError(msg)
        generator.load_state_dict(interpolate_weights(states, alphas))
        return generator, card

    def generator(self, path: Path) -> tuple[nn.Module, dict[str, Any]]:
        """The generator of a checkpoint, and its card.

        Raises:
            ValueError: it has another scale.
        """
        generator, card = self._load(path)
        if self.scale not in (None, generator.scale):
            msg = f"{path} upscales by {generator.scale}, but scale={self.scale}"
            raise ValueError(msg)
        return generator, card


def check_names(methods: Sequence[Upscaler]) -> None:
    """See that there are methods, each with a name of its own.

    Raises:
        ValueError: there is none, or two have the same name.
    """
    if not methods:
        msg = "checkpoints=[] and baselines=[]: expected at least one method to measure"
        raise ValueError(msg)
    counts = Counter(method.name for method in methods)
    if repeated := [name for name, count in counts.items() if count > 1]:
        msg = f"names: several methods are called {', '.join(repeated)}: expected different names"
        raise ValueError(msg)


def choose_reference(name: str | None, methods: Sequence[Upscaler]) -> str:
    """The method that all others are tested against; bicubic or else the first without a name.

    Raises:
        ValueError: it is not measured.
    """
    names = [method.name for method in methods]
    if name is None:
        return "bicubic" if "bicubic" in names else names[0]
    if name not in names:
        msg = f"reference={name}: expected one of {', '.join(names)}"
        raise ValueError(msg)
    return name


def trained_networks(
    loader: NetworkLoader, checkpoints: Sequence[str], names: Sequence[str] | None
) -> list[NetworkUpscaler]:
    """The networks of checkpoints, called after their run's folder or as `names` says."""
    names = names or [_default_name(name) for name in checkpoints]
    if len(names) != len(checkpoints):
        msg = f"names={list(names)}: expected {len(checkpoints)} names, one per checkpoint"
        raise ValueError(msg)
    return [
        loader.upscaler(name, [resolve_checkpoint(checkpoint)])
        for name, checkpoint in zip(names, checkpoints, strict=True)
    ]


def interpolated_networks(
    loader: NetworkLoader, pair: Sequence[str], alphas: Sequence[float]
) -> list[NetworkUpscaler]:
    """The networks between two checkpoints; each alpha is the weight of the second."""
    names = interpolation_names(pair, alphas)
    paths = [resolve_checkpoint(checkpoint) for checkpoint in pair]
    return [loader.upscaler(name, paths, [1 - a, a]) for name, a in names.items()]


def interpolation_names(pair: Sequence[str], alphas: Sequence[float]) -> dict[str, float]:
    """Name to alpha of the networks between two checkpoints.

    Raises:
        ValueError: there are not two checkpoints, or the alphas do not rise from 0 to 1.
    """
    if len(pair) != 2:
        msg = f"interpolate={list(pair)}: expected two checkpoints, [A, B]"
        raise ValueError(msg)
    in_range = all(0 <= alpha <= 1 for alpha in alphas)
    if not alphas or not in_range or not all(a < b for a, b in pairwise(alphas)):
        msg = f"alphas={list(alphas)}: expected rising numbers from 0 (all of A) to 1 (all of B)"
        raise ValueError(msg)
    title = "..".join(map(_default_name, pair))
    return {f"{title} {alpha:g}": alpha for alpha in alphas}


def soup(loader: NetworkLoader, run: Path) -> NetworkUpscaler:
    """The mean of the best checkpoints that a run kept (model soup)."""
    paths = [run / row["checkpoint"] for row in read_best(run)["kept"]]
    name = f"{run.resolve().name} soup of {len(paths)}"
    return loader.upscaler(name, paths, [1 / len(paths)] * len(paths))


def save_interpolated(
    loader: NetworkLoader, pair: Sequence[str], alpha: float, target: Path
) -> None:
    """Write the network between two checkpoints as a checkpoint of its own.

    Raises:
        ValueError: neither checkpoint says what network it holds.
    """
    paths = [resolve_checkpoint(checkpoint) for checkpoint in pair]
    generator, card = loader.blend(paths, [1 - alpha, alpha])
    if "model" not in card:
        msg = f"save_best={target}: {paths[0]} has no card that describes its network"
        raise ValueError(msg)
    write_generator(target, generator, card)


def write_generator(target: Path, generator: nn.Module, card: Mapping[str, Any]) -> None:
    """Write a checkpoint that holds a generator only, called after its file."""
    state = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    content = {"card": {**card, "name": target.stem}, "state_dict": state, "iteration": 0}
    save(content, target)


def _default_name(checkpoint: str) -> str:
    """The run's folder, and the file's stem where a file is named."""
    path = Path(checkpoint).resolve()
    in_run = path.parent.name == "checkpoints"
    return f"{path.parents[1].name}/{path.stem}" if in_run else path.name

"""The methods that an evaluation compares: interpolators, networks and blends of networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

Loaded = tuple[nn.Module, dict[str, Any]]  # a generator and the card of its checkpoint


@dataclass(kw_only=True, eq=False)
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

    load: Callable[[Path], Loaded]
    device: torch.device
    scale: int | None = None
    tile: int | None = None
    overlap: int = 32
    model: object = None

    def upscaler(
        self, name: str, paths: Sequence[Path], alphas: Sequence[float] = (1.0,)
    ) -> NetworkUpscaler:
        """The network of one checkpoint, or of the weighted mean of several.

        Args:
            name: what tables call it.
            paths: checkpoint files.
            alphas: the weight of each; their sum is 1.
        """
        used = [(file_sha256(path), a) for path, a in zip(paths, alphas, strict=True) if a]
        return NetworkUpscaler(
            name,
            self.blend(paths, alphas)[0],
            device=self.device,
            tile=self.tile,
            overlap=self.overlap,
            source=fingerprint(used, self.model),
        )

    def blend(self, paths: Sequence[Path], alphas: Sequence[float]) -> Loaded:
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
            raise ValueError(f"{names}: an ONNX file has no weights to blend; expected checkpoints")
        if any(other.get("model") != card.get("model") for _, other in loaded):
            raise ValueError(f"{names}: networks of different configurations cannot be blended")
        generator.load_state_dict(interpolate_weights(states, alphas))
        return generator, card

    def generator(self, path: Path) -> Loaded:
        """The generator of a checkpoint, and its card.

        Raises:
            ValueError: it has another scale.
        """
        generator, card = self.load(path)
        if self.scale not in (None, generator.scale):
            raise ValueError(f"{path} upscales by {generator.scale}, but scale={self.scale}")
        return generator, card


def check_names(methods: Sequence[Upscaler]) -> None:
    """See that there are methods, each with a name of its own.

    Raises:
        ValueError: there is none, or two have the same name.
    """
    if not methods:
        raise ValueError("checkpoints=[] and baselines=[]: expected at least one method to measure")
    names = [method.name for method in methods]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
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
        raise ValueError(f"reference={name}: expected one of {', '.join(names)}")
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
        ValueError: the alphas do not rise.
    """
    if not alphas or list(alphas) != sorted({*alphas}):
        msg = f"alphas={list(alphas)}: expected rising numbers from 0 (all of A) to 1 (all of B)"
        raise ValueError(msg)
    title = "..".join(map(_default_name, pair))
    return {f"{title} {alpha:g}": alpha for alpha in alphas}


def soup(loader: NetworkLoader, run: Path) -> NetworkUpscaler:
    """The mean of the best checkpoints that a run kept (model soup)."""
    paths = [run / row["checkpoint"] for row in read_best(run, "kept")["kept"]]
    name = f"{run.resolve().name} soup of {len(paths)}"
    return loader.upscaler(name, paths, [1 / len(paths)] * len(paths))


def save_interpolated(
    loader: NetworkLoader, pair: Sequence[str], alpha: float, target: Path
) -> None:
    """Write the network between two checkpoints as a checkpoint of its own, called after its file.

    Raises:
        ValueError: neither checkpoint says what network it holds.
    """
    paths = [resolve_checkpoint(checkpoint) for checkpoint in pair]
    generator, card = loader.blend(paths, [1 - alpha, alpha])
    if "model" not in card:
        raise ValueError(f"save_best={target}: {paths[0]} has no card that describes its network")
    state = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    save({"card": {**card, "name": target.stem}, "state_dict": state, "iteration": 0}, target)


def _default_name(checkpoint: str) -> str:
    """The run's folder, and the file's stem where a file is named."""
    path = Path(checkpoint).resolve()
    in_run = path.parent.name == "checkpoints"
    return f"{path.parents[1].name}/{path.stem}" if in_run else path.name

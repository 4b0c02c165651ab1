"""The methods that an evaluation compares: interpolators, networks and blends of networks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srlit.checkpoint import resolve_checkpoint
from srlit.checkpoint.file_format import save
from srlit.checkpoint.messages import weight_differences
from srlit.checkpoint.runs import read_best
from srlit.evaluation.tables import Row
from srlit.inference.upscalers import NetworkUpscaler, Upscaler
from srlit.metrics.ranking import SelectionRule
from srlit.utils.fingerprint import file_sha256, fingerprint

log = logging.getLogger(__name__)

Weights = Mapping[str, Tensor]
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
        generator, source = self.blend(paths, alphas)[0], fingerprint(used, self.model)
        return NetworkUpscaler(
            name, generator, device=self.device, tile=self.tile, overlap=self.overlap, source=source
        )

    def blend(self, paths: Sequence[Path], alphas: Sequence[float]) -> Loaded:
        """The generator of one checkpoint or of the mean weights of several, and its card.

        Raises:
            ValueError: a network has another scale, they have different configurations, or no
                weights of their own.
        """
        loaded = [self.load(path) for path in paths]
        for path, (network, _) in zip(paths, loaded, strict=True):
            if self.scale not in (None, network.scale):
                raise ValueError(f"{path} upscales by {network.scale}, but scale={self.scale}")
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


def choose_reference(name: str | None, methods: Sequence[Upscaler]) -> str:
    """The method that all others are tested against; bicubic or else the first without a name.

    Raises:
        ValueError: there is no method, two have the same name, or the reference is not measured.
    """
    names = [method.name for method in methods]
    if not names:
        raise ValueError("checkpoints=[] and baselines=[]: expected at least one method to measure")
    if repeated := sorted({each for each in names if names.count(each) > 1}):
        raise ValueError(f"names: several methods are called {', '.join(repeated)}")
    if name is None:
        return "bicubic" if "bicubic" in names else names[0]
    if name not in names:
        raise ValueError(f"reference={name}: expected one of {', '.join(names)}")
    return name


def trained_networks(
    loader: NetworkLoader, checkpoints: Sequence[str], names: Sequence[str] | None
) -> list[NetworkUpscaler]:
    """The networks of checkpoints, called after their run's folder or as `names` says."""
    names, count = names or list(map(_default_name, checkpoints)), len(checkpoints)
    if len(names) != count:
        raise ValueError(f"names={list(names)}: expected {count} names, one per checkpoint")
    paths = map(resolve_checkpoint, checkpoints)
    return [loader.upscaler(name, [path]) for name, path in zip(names, paths, strict=True)]


def soup(loader: NetworkLoader, run: Path) -> NetworkUpscaler:
    """The mean of the best checkpoints that a run kept (model soup)."""
    paths = [run / row["checkpoint"] for row in read_best(run, "kept")["kept"]]
    name = f"{run.resolve().name} soup of {len(paths)}"
    return loader.upscaler(name, paths, [1 / len(paths)] * len(paths))


@dataclass(eq=False)
class Interpolation:
    """The networks between two checkpoints.

    Args:
        loader: loads them.
        pair: the two checkpoints.
        alphas: the weights of the second one.

    Raises:
        ValueError: the alphas do not rise.
        CheckpointError: a checkpoint is missing.
    """

    loader: NetworkLoader
    pair: Sequence[str]
    alphas: Sequence[float]

    def __post_init__(self) -> None:
        if not self.alphas or list(self.alphas) != sorted({*self.alphas}):
            expected = "expected rising numbers from 0 (all of A) to 1 (all of B)"
            raise ValueError(f"alphas={list(self.alphas)}: {expected}")
        title = "..".join(map(_default_name, self.pair))
        self.named_alphas = {f"{title} {alpha:g}": alpha for alpha in self.alphas}

    def networks(self) -> list[NetworkUpscaler]:
        """One network per alpha."""
        paths = list(map(resolve_checkpoint, self.pair))
        named = self.named_alphas.items()
        return [self.loader.upscaler(name, paths, [1 - alpha, alpha]) for name, alpha in named]

    def save_best(
        self, rows: Sequence[Row], target: Path, *, metric: str, tolerance: Mapping[str, float]
    ) -> None:
        """Write the best of the networks as a checkpoint of its own, called after its file.

        Args:
            rows: names and metrics of the networks.
            target: the file.
            metric: decides which is the best.
            tolerance: metric to the accepted loss against the best of all networks.

        Raises:
            ValueError: the first checkpoint does not say what network it holds.
        """
        rule = SelectionRule(metric=metric, tolerance=tolerance).named_as(rows[0])
        name = rule.rank(rows)[0]["name"]
        paths, alpha = list(map(resolve_checkpoint, self.pair)), self.named_alphas[name]
        generator, card = self.loader.blend(paths, [1 - alpha, alpha])
        if "model" not in card:
            raise ValueError(f"save_best={target}: {paths[0]} has no card to describe its network")
        state = {f"generator.{key}": value for key, value in generator.state_dict().items()}
        save({"card": {**card, "name": target.stem}, "state_dict": state, "iteration": 0}, target)
        log.info("%s: %s (%s)", target, name, rule.describe())


def _default_name(checkpoint: str) -> str:
    """The run's folder, and the file's stem where a file is named."""
    path = Path(checkpoint).resolve()
    in_run = path.parent.name == "checkpoints"
    return f"{path.parents[1].name}/{path.stem}" if in_run else path.name


def interpolate_weights(states: Sequence[Weights], alphas: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of several networks' weights.

    It makes sense for networks that were trained on from the same weights: between one of low
    distortion and one that looks sharp lies a continuous trade-off (network interpolation), and the
    mean of a training's best checkpoints is often better than each of them (model soup).

    Args:
        states: state dicts of networks of one configuration.
        alphas: the weight of each; their sum is 1.

    Returns:
        Floating-point tensors are averaged; others are the first network's.

    Raises:
        ValueError: the networks differ.

    Source: Wang et al. 2018, ESRGAN, section 3.4; Wortsman et al. 2022, Model Soups.
    """
    for other in states[1:]:
        if differences := weight_differences(states[0], other):
            raise ValueError(f"networks differ: {'; '.join(differences)}")
    return {name: _mean([state[name] for state in states], alphas) for name in states[0]}


def _mean(values: Sequence[Tensor], alphas: Sequence[float]) -> Tensor:
    first = values[0]
    if not first.is_floating_point():
        return first.clone()
    # In float64, so that alpha 0 and 1 return the networks themselves to the bit.
    used = [alpha * v.double() for v, alpha in zip(values, alphas, strict=True) if alpha]
    return torch.stack(used).sum(0).to(first.dtype)

"""What an evaluation compares: interpolators, trained networks, and networks between them."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from srlit.config.build import load_generator, plain
from srlit.config.check import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from srlit.inference import NetworkUpscaler, Upscaler


def methods_of(cfg: DictConfig) -> list["Upscaler"]:
    """All that is to be measured.

    Raises:
        ConfigError: nothing is, two have the same name, or a network has another scale.
        CheckpointError: a checkpoint that is missing or does not fit.
    """
    from srlit.inference import Interpolator

    baselines = [Interpolator(name, scale=cfg.scale) for name in cfg.baselines]
    found: list[Upscaler] = [*baselines, *networks(cfg), *between(cfg), *soups(cfg)]
    if not found:
        msg = "checkpoints=[] and baselines=[]: expected at least one method to measure"
        raise ConfigError(msg)
    counts = Counter(method.name for method in found)
    if twice := [name for name, count in counts.items() if count > 1]:
        msg = (
            f"several methods are called {', '.join(twice)}: give names=[...], one a checkpoint, "
            f"different from each other and from baselines={list(cfg.baselines)}"
        )
        raise ConfigError(msg)
    return found


def chosen_reference(cfg: DictConfig, names: Sequence[str]) -> str:
    """The method that all others are tested against.

    Raises:
        ConfigError: it is none of those that are measured.
    """
    if cfg.reference is None:
        return "bicubic" if "bicubic" in names else names[0]
    if cfg.reference not in names:
        msg = f"reference={cfg.reference}: expected one of {', '.join(names)}"
        raise ConfigError(msg)
    return str(cfg.reference)


def checkpoints_of(cfg: DictConfig) -> list[str]:
    """The checkpoints that are to be measured; one needs no brackets."""
    return [cfg.checkpoints] if isinstance(cfg.checkpoints, str) else list(cfg.checkpoints)


def networks(cfg: DictConfig) -> list["NetworkUpscaler"]:
    """The trained networks, named after their run's folder or as `names` says."""
    from srlit.checkpoint import resolve_checkpoint

    checkpoints = checkpoints_of(cfg)
    names = cfg.names or [_name_of(Path(name)) for name in checkpoints]
    if len(names) != len(checkpoints):
        msg = f"names={list(names)}: expected {len(checkpoints)} names, one a checkpoint"
        raise ConfigError(msg)
    found = []
    for name, checkpoint in zip(names, checkpoints, strict=True):
        path = resolve_checkpoint(checkpoint)
        found.append(_network(cfg, name, _load(cfg, path)[0], [path], [1.0]))
    return found


# -- blends -------------------------------------------------------------------------------------


def between(cfg: DictConfig) -> list["NetworkUpscaler"]:
    """The networks between the two of `interpolate`, at `alphas` of the second.

    Raises:
        ConfigError: there are not two, they are not of one kind, or the alphas are no alphas.
    """
    from srlit.checkpoint import resolve_checkpoint

    if cfg.interpolate is None:
        return []
    if len(cfg.interpolate) != 2:
        msg = f"interpolate={list(cfg.interpolate)}: expected two checkpoints, [A, B]"
        raise ConfigError(msg)
    paths = [resolve_checkpoint(name) for name in cfg.interpolate]
    found = []
    for name, alpha in names_between(cfg).items():
        alphas = [1 - alpha, alpha]
        found.append(_network(cfg, name, _blend(cfg, paths, alphas)[0], paths, alphas))
    return found


def names_between(cfg: DictConfig) -> dict[str, float]:
    """What tables call the networks of `interpolate`, and how much each has of the second.

    Raises:
        ConfigError: the alphas are no alphas.
    """
    alphas = [float(alpha) for alpha in cfg.alphas]
    if not alphas or not all(0 <= alpha <= 1 for alpha in alphas) or not _rise(alphas):
        msg = f"alphas={alphas}: expected rising numbers from 0 (all of A) to 1 (all of B)"
        raise ConfigError(msg)
    title = "..".join(_name_of(Path(name)) for name in cfg.interpolate)
    return {f"{title} {alpha:g}": alpha for alpha in alphas}


def save_blend(cfg: DictConfig, alpha: float, target: Path) -> None:
    """Write the network of `interpolate` with so much of the second, for all other commands.

    Raises:
        ConfigError: no checkpoint of srlit's can tell what network it is.
    """
    import torch

    from srlit.checkpoint import resolve_checkpoint
    from srlit.utils.atomic import atomic_file

    paths = [resolve_checkpoint(name) for name in cfg.interpolate]
    generator, card = _blend(cfg, paths, [1 - alpha, alpha])
    if "model" not in card:
        msg = f"save_best={target}: {paths[0]} has no card that describes its network"
        raise ConfigError(msg)
    state = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    content = {"card": card | {"name": target.stem}, "state_dict": state, "iteration": 0}
    with atomic_file(target) as sibling:
        torch.save(content, sibling)


def soups(cfg: DictConfig) -> list["NetworkUpscaler"]:
    """The mean of the best checkpoints that each run of `soup` kept."""
    from srlit.checkpoint.runs import read_best

    found = []
    for run in [cfg.soup] if isinstance(cfg.soup, str) else cfg.soup or ():
        folder = Path(run).expanduser()
        paths = [folder / row["checkpoint"] for row in read_best(folder)["kept"]]
        alphas = [1 / len(paths)] * len(paths)
        name = f"{folder.resolve().name} soup of {len(paths)}"
        found.append(_network(cfg, name, _blend(cfg, paths, alphas)[0], paths, alphas))
    return found


def _rise(values: Sequence[float]) -> bool:
    return all(before < after for before, after in pairwise(values))


def _blend(
    cfg: DictConfig, paths: Sequence[Path], alphas: Sequence[float]
) -> "tuple[nn.Module, dict[str, Any]]":
    """A network of the mean weights, and its card.

    Raises:
        ConfigError: the networks are not of one kind.
    """
    from srlit.evaluation.weight_interpolation import blended

    loaded = [_load(cfg, path) for path in paths]
    generator, card = loaded[0]
    listed = " and ".join(map(str, paths))
    if not all(each.state_dict() for each, _ in loaded):
        msg = f"{listed}: only networks with weights of their own can be blended, no ONNX files"
        raise ConfigError(msg)
    if any(other.get("model") != card.get("model") for _, other in loaded):
        msg = f"{listed} are networks of different configurations: they cannot be blended"
        raise ConfigError(msg)
    try:
        generator.load_state_dict(blended([each.state_dict() for each, _ in loaded], alphas))
    except ValueError as error:
        msg = f"{listed}: {error}"
        raise ConfigError(msg) from error
    return generator, card


# -- networks -----------------------------------------------------------------------------------


def _load(cfg: DictConfig, path: Path) -> "tuple[nn.Module, dict[str, Any]]":
    """A generator of the right scale, and its card.

    Raises:
        ConfigError: it has another scale.
    """
    generator, card = load_generator(path, cfg.get("model"))
    if generator.scale != cfg.scale:
        msg = f"{path} upscales by {generator.scale}, but scale={cfg.scale}"
        raise ConfigError(msg)
    return generator, card


def _network(
    cfg: DictConfig,
    name: str,
    generator: "nn.Module",
    paths: Sequence[Path],
    alphas: Sequence[float],
) -> "NetworkUpscaler":
    """A generator as a method, told from others by the files that its weights come from."""
    from srlit.checkpoint.manifest import digest_of
    from srlit.inference import NetworkUpscaler, pick_device
    from srlit.utils.fingerprint import fingerprint

    parts = [(digest_of(path), alpha) for path, alpha in zip(paths, alphas, strict=True) if alpha]
    return NetworkUpscaler(
        name,
        generator,
        device=pick_device(cfg.device),
        tile=cfg.tile,
        overlap=cfg.overlap,
        source=fingerprint(parts, plain(cfg.get("model"))),
    )


def _name_of(path: Path) -> str:
    path = path.resolve()
    return path.name if path.suffix != ".ckpt" else f"{path.parents[1].name}/{path.stem}"

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

    from srlit.inference import Network, Upscaler


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


def networks(cfg: DictConfig) -> list["Network"]:
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


def between(cfg: DictConfig) -> list["Network"]:
    """The networks between the two of `interpolate`, at `shares` of the second.

    Raises:
        ConfigError: there are not two, they are not of one kind, or the shares are no shares.
    """
    from srlit.checkpoint import resolve_checkpoint

    if cfg.interpolate is None:
        return []
    if len(cfg.interpolate) != 2:
        msg = f"interpolate={list(cfg.interpolate)}: expected two checkpoints, [A, B]"
        raise ConfigError(msg)
    paths = [resolve_checkpoint(name) for name in cfg.interpolate]
    found = []
    for name, share in names_between(cfg).items():
        shares = [1 - share, share]
        found.append(_network(cfg, name, _blend(cfg, paths, shares)[0], paths, shares))
    return found


def names_between(cfg: DictConfig) -> dict[str, float]:
    """What tables call the networks of `interpolate`, and how much each has of the second.

    Raises:
        ConfigError: the shares are no shares.
    """
    shares = [float(share) for share in cfg.shares]
    if not shares or not all(0 <= share <= 1 for share in shares) or not _rise(shares):
        msg = f"shares={shares}: expected rising numbers from 0 (all of A) to 1 (all of B)"
        raise ConfigError(msg)
    title = "..".join(_name_of(Path(name)) for name in cfg.interpolate)
    return {f"{title} {share:g}": share for share in shares}


def save_blend(cfg: DictConfig, share: float, target: Path) -> None:
    """Write the network of `interpolate` with so much of the second, for all other commands.

    Raises:
        ConfigError: no checkpoint of srlit's can tell what network it is.
    """
    import torch

    from srlit.checkpoint import resolve_checkpoint
    from srlit.utils.atomic import atomic_file

    paths = [resolve_checkpoint(name) for name in cfg.interpolate]
    generator, card = _blend(cfg, paths, [1 - share, share])
    if "model" not in card:
        msg = f"save_best={target}: {paths[0]} has no card that describes its network"
        raise ConfigError(msg)
    state = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    content = {"card": card | {"name": target.stem}, "state_dict": state, "iteration": 0}
    with atomic_file(target) as sibling:
        torch.save(content, sibling)


def soups(cfg: DictConfig) -> list["Network"]:
    """The mean of the best checkpoints that each run of `soup` kept."""
    from srlit.checkpoint.runs import read_best

    found = []
    for run in [cfg.soup] if isinstance(cfg.soup, str) else cfg.soup or ():
        folder = Path(run).expanduser()
        paths = [folder / row["checkpoint"] for row in read_best(folder)["kept"]]
        shares = [1 / len(paths)] * len(paths)
        name = f"{folder.resolve().name} soup of {len(paths)}"
        found.append(_network(cfg, name, _blend(cfg, paths, shares)[0], paths, shares))
    return found


def _rise(values: Sequence[float]) -> bool:
    return all(before < after for before, after in pairwise(values))


def _blend(
    cfg: DictConfig, paths: Sequence[Path], shares: Sequence[float]
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
        generator.load_state_dict(blended([each.state_dict() for each, _ in loaded], shares))
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
    shares: Sequence[float],
) -> "Network":
    """A generator as a method, told from others by the files that its weights come from."""
    from srlit.checkpoint.manifest import digest_of
    from srlit.inference import Network, pick_device
    from srlit.utils.fingerprint import fingerprint

    parts = [(digest_of(path), share) for path, share in zip(paths, shares, strict=True) if share]
    return Network(
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

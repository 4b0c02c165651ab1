"""From configurations to objects: what the user composed, and networks from files."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from srlit.config.check import ConfigError
from srlit.utils.small_files import SmallFileError, check_type, read_yaml

if TYPE_CHECKING:
    from torch import nn


def build(node: Any, **given: Any) -> Any:  # noqa: ANN401 - what the configuration names
    """Instantiate a node of the user's configuration, containers as plain Python.

    Args:
        node: the configuration.
        given: further arguments, handed over as they are: Hydra itself would copy them, and
            instantiate configurations among them.
    """
    if not given:
        return hydra.utils.instantiate(node, _convert_="all")
    return hydra.utils.instantiate(node, _convert_="all", _partial_=True)(**given)


def plain(node: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """A node as plain Python, resolved: what a checkpoint may hold."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def load_trained(path: Path, cfg: DictConfig) -> "tuple[nn.Module, dict[str, Any]]":
    """The generator in a file, and its card; the network is `cfg.model` where that is given.

    Raises:
        CheckpointError: no checkpoint, of no known network, or weights that do not fit.
    """
    from srlit.models.load import load_generator

    model = cfg.get("model")
    return load_generator(path, model and functools.partial(build, model), trusted(cfg))


# Whose classes the configuration of a run may name besides its networks.
STORED = (
    "srlit.degradation",
    "srlit.data.image_folder",
    "srlit.data.mixed",
    "srlit.data.paired_folder",
    "srlit.data.shards",
    "kornia.augmentation",
)


def rebuild_stored(node: Any, source: str, cfg: DictConfig) -> Any:  # noqa: ANN401
    """Photos or degradations from the configuration that a run stored.

    Raises:
        CheckpointError: it names a class that is not srlit's and not trusted.
    """
    from srlit.checkpoint.rebuild import rebuild

    return rebuild(node, source, STORED, trusted(cfg))


def trusted(cfg: DictConfig) -> list[str]:
    """The user's own modules that files may name; one needs no brackets."""
    return as_list(cfg.get("trust"))


def as_list(value: Any) -> list[str]:  # noqa: ANN401 - of a configuration
    """Names; a single one needs no brackets, null is none."""
    return [value] if isinstance(value, str) else list(value or ())


class _StoredData(TypedDict):
    photos: dict[str, Any]


class _StoredCallbacks(TypedDict):
    lpips_checkpoint: dict[str, Any]


class _Stored(TypedDict):
    scale: int
    data: _StoredData
    eval_degradation: Any
    callbacks: _StoredCallbacks


STORED_TYPE = TypeAdapter(_Stored)


def stored_config(run: Path) -> dict[str, Any]:
    """The configuration of a run, as plain values.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"run={run}: no config.yaml: expected the folder of a run of srlit.train")
    try:
        stored = read_yaml(path)
        check_type(path, stored, STORED_TYPE)
    except SmallFileError as error:
        raise ConfigError(f"run={run}: {error}") from error
    return stored

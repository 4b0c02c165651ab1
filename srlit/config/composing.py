"""Composing again: for commands that use several files of a group, and to explain errors."""

import re
from collections.abc import Sequence
from contextlib import nullcontext

from omegaconf import DictConfig, OmegaConf

from srlit.config.check import ConfigError, did_you_mean
from srlit.config.multirun import key_and_value
from srlit.config.root import CONF_DIR, search_override


def composed(config_name: str, group: str, name: str, *overrides: str) -> DictConfig:
    """A root file with one group's file chosen, of conf/ or of the user's own folder.

    Args:
        config_name: the root file.
        group: the group.
        name: the file.
        overrides: KEY=VALUE.

    Raises:
        ConfigError: there is no such file.
    """
    from hydra.errors import MissingConfigException

    try:
        return compose_again(config_name, [f"{group}={name}", *overrides])
    except MissingConfigException as error:
        raise ConfigError(explain(error, config_name, ())) from error


def compose_again(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a root file, with the user's own folders as the command line has named them."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    started = GlobalHydra.instance().is_initialized()
    start = nullcontext() if started else initialize_config_dir(str(CONF_DIR), version_base="1.3")
    with start:
        return compose(config_name, [*overrides, *search_override()])


def jobs_of(config: DictConfig) -> list[list[str]]:
    """The overrides of each job of a multirun; [] where Hydra's own grid does not choose them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    sweeper = config.hydra.sweeper
    if not sweeper._target_.endswith(BasicSweeper.__name__):
        return []
    params = [f"{key}={values}" for key, values in (sweeper.params or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task])
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def explain(error: Exception, config_name: str, overrides: Sequence[str]) -> str:
    """Why Hydra cannot compose, with the option or key that was probably meant."""
    from hydra.errors import MissingConfigException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        known = [option for option in error.options or () if option[0] != "_"]
        hint = did_you_mean(name, known)
        return f"{group}={name}: no such {group}{hint} (expected one of {', '.join(known)})"
    if unknown := re.match(r"Could not override '(.+?)'", str(error)):
        return _explain_key(unknown[1], config_name, overrides)
    return str(error).split("\n\n")[0]


def _explain_key(key: str, config_name: str, overrides: Sequence[str]) -> str:
    """Which part of a key is unknown, and which one may have been meant."""
    others = [o for o in overrides if key_and_value(o)[0] != key]
    node, parent = compose_again(config_name, others), ""
    for name in key.split("."):
        if not OmegaConf.is_dict(node) or name not in node:
            break
        node, parent = node[name], f"{parent}.{name}".lstrip(".")
    known = list(map(str, node)) if OmegaConf.is_dict(node) else []
    hint = did_you_mean(name, known, prefix=parent)
    where = parent or f"conf/{config_name}.yaml"
    return f"unknown key {key}{hint} ({where} has {', '.join(known)}; +{key}=... adds a key)"

"""Composing once more: for commands that go through several files of a group."""

from contextlib import nullcontext

from omegaconf import DictConfig

from srlit.config.check import ConfigError
from srlit.config.root import CONF_DIR, options


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
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import MissingConfigException

    # Outside of a command line only srlit's own files are known.
    started = GlobalHydra.instance().is_initialized()
    own = nullcontext() if started else initialize_config_dir(str(CONF_DIR), version_base="1.3")
    try:
        with own:
            return compose(config_name, [f"{group}={name}", *overrides])
    except MissingConfigException as error:
        msg = f"no {group} {name!r}: expected some of {options(group)}"
        raise ConfigError(msg) from error

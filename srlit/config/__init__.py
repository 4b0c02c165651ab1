"""What entry points share: composing, checking and building. Only here and there Hydra is known."""

from srlit.config import multirun
from srlit.config.build import build, load_trained, plain, rebuild_stored
from srlit.config.check import ConfigError, check_config, did_you_mean
from srlit.config.entry import EXPECTED, entry_point, quieten
from srlit.config.multirun import in_multirun
from srlit.config.root import CONF_DIR, help_text

__all__ = [
    "CONF_DIR",
    "EXPECTED",
    "ConfigError",
    "build",
    "check_config",
    "did_you_mean",
    "entry_point",
    "help_text",
    "in_multirun",
    "load_trained",
    "multirun",
    "plain",
    "quieten",
    "rebuild_stored",
]

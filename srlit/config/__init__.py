"""What entry points share: composing, checking and building. Only here and there Hydra is known."""

from srlit.config.build import build, build_known, load_generator, load_into, plain
from srlit.config.check import ConfigError, check_config, did_you_mean
from srlit.config.entry import EXPECTED, entry_point, in_multirun, quieten
from srlit.config.root import CONF_DIR, help_text

__all__ = [
    "CONF_DIR",
    "EXPECTED",
    "ConfigError",
    "build",
    "build_known",
    "check_config",
    "did_you_mean",
    "entry_point",
    "help_text",
    "in_multirun",
    "load_generator",
    "load_into",
    "plain",
    "quieten",
]

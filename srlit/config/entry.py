"""From the command line to a task: composing, checking, and mistakes in one line."""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from srlit.config.check import check_config
from srlit.config.relaunch import in_multirun
from srlit.config.root import CONF_DIR, help_text
from srlit.ops.malloc import keep_freed_memory

Task = Callable[[DictConfig], Any]

# Mistakes of a user, as opposed to errors of the program: shown without a stack trace.
EXPECTED = (ValueError, OSError, HydraException, OmegaConfBaseException)


def entry_point(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Turn a task into a command line program.

    Expected mistakes end with one line on stderr and exit code 1. In a multirun they are raised,
    so that Hydra runs the other jobs first.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @functools.wraps(task)
        def friendly(cfg: DictConfig) -> Any:  # noqa: ANN401 - Hydra passes it to sweepers
            quieten()
            keep_freed_memory()
            try:
                check_config(cfg, config_name)
                return task(cfg)
            except EXPECTED as error:
                notes = getattr(error, "__notes__", [])
                known = isinstance(error, OSError) or getattr(error, "tells_all", False)
                if in_multirun() or (notes and not known):
                    raise  # a sweep's other jobs go on; what broke a run is shown with its trace
                message = "\n".join([_innermost(error), *notes])
                raise SystemExit(f"error: {message}") from error

        compose_and_run: Callable[[], None] = hydra.main(
            version_base="1.3", config_path=str(CONF_DIR), config_name=config_name
        )(friendly)

        def main() -> None:
            """Command line."""
            if {"-h", "--help"} & set(sys.argv[1:]):
                about = inspect.getdoc(inspect.getmodule(task)) or ""
                sys.stdout.write(help_text(config_name, about))
            else:
                compose_and_run()

        return main

    return decorate


def choice(group: str, default: str) -> str:
    """Name of the file that was chosen of a group; `default` outside of a command line."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return default
    return str(HydraConfig.get().runtime.choices[group])


def _innermost(error: BaseException) -> str:
    """The message of the error below Hydra's wrapping, with the key that Hydra names."""
    if isinstance(error, InstantiationException):
        key = str(error).rsplit("full_key: ", 1)[-1] if "full_key: " in str(error) else ""
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        message = str(error) if cause is error else f"{cause}"
        return f"{message} (at {key})" if key and cause is not error else message
    return str(error)


def quieten() -> None:
    """Leave out warnings about what srlit decides on purpose, or what libraries do inside."""
    import warnings

    for message in (
        ".*does not have many workers.*",
        ".*parameter 'pretrained' is deprecated.*",
        ".*Arguments other than a weight enum.*",
        ".*treespec, LeafSpec.*",
        ".*sync_dist=True.*",
        r".*lr_scheduler.step\(\)` before `optimizer.step.*",
    ):
        warnings.filterwarnings("ignore", message)

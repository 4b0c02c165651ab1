"""From the command line to a task: composing, checking, and mistakes in one line."""

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    OverrideParseException,
)
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from srlit.config.check import check_config
from srlit.config.composing import compose_again, explain, jobs_of
from srlit.config.root import CONF_DIR, FOLDERS, declare_options, help_text
from srlit.ops.malloc import keep_freed_memory

Task = Callable[[DictConfig], Any]

# Mistakes of a user, as opposed to errors of the program: shown without a stack trace.
EXPECTED = (ValueError, OSError, HydraException, OmegaConfBaseException)


class CheckFirst(Callback):
    """Hydra's callback that checks the configuration before Hydra makes the run's folder."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401
        """Check; SystemExit is the only exception that Hydra lets out of a callback."""
        with one_line_errors(), no_silent_bug():
            check_config(config, kwargs["config_name"], config.hydra.overrides.task)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401
        """Check every job of a grid before the first one starts."""
        name = kwargs["config_name"]
        with one_line_errors(), no_silent_bug(), explained(name, config.hydra.overrides.task):
            for overrides in jobs_of(config):
                job = compose_again(name, [*overrides, "paths.run=unknown"])  # Hydra sets it later
                check_config(job, name, overrides)


@contextmanager
def no_silent_bug() -> Iterator[None]:
    """Let a bug of the check end the program; Hydra would log it and run unchecked."""
    try:
        yield
    except EXPECTED:
        raise
    except Exception as error:
        traceback.print_exc()
        raise SystemExit(f"error: the configuration check failed: {error!r}") from error


def in_multirun() -> bool:
    """Whether this is one job of a multirun (-m)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line where the user made a mistake.

    In a multirun mistakes are raised, so that Hydra runs the other jobs first. What broke a run
    that had begun is shown with its trace.
    """
    try:
        yield
    except EXPECTED as error:
        notes = getattr(error, "__notes__", [])
        known = isinstance(error, OSError) or getattr(error, "tells_all", False)
        if in_multirun() or (notes and not known):
            raise
        raise SystemExit("\n".join([f"error: {_innermost(error)}", *notes])) from error


@contextmanager
def explained(config_name: str, overrides: Sequence[str]) -> Iterator[None]:
    """End the program with one line where Hydra cannot compose what was asked for."""
    try:
        yield
    except (ConfigCompositionException, OverrideParseException) as error:
        raise SystemExit(f"error: {explain(error, config_name, overrides)}") from error
    except ValueError as error:  # GROUP=null, where a group must be chosen or left alone
        if not str(error).startswith("Config group override"):
            raise
        raise SystemExit(f"error: {error}; to leave a group out, write ~GROUP") from error


def entry_point(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Turn a task into a command line program.

    Expected mistakes end with one line on stderr and exit code 1.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @functools.wraps(task)
        def checked(cfg: DictConfig) -> Any:  # noqa: ANN401 - Hydra passes it to sweepers
            quieten()
            keep_freed_memory()
            with one_line_errors():
                if in_multirun():  # of several jobs each is checked when its turn comes
                    check_config(cfg, config_name, HydraConfig.get().overrides.task)
                return task(cfg)

        compose_and_run: Callable[[], None] = hydra.main(
            version_base="1.3", config_path=str(CONF_DIR), config_name=config_name
        )(checked)

        def main() -> None:
            """Command line."""
            if {"-h", "--help"} & set(sys.argv[1:]):
                about = inspect.getdoc(inspect.getmodule(task)) or ""
                sys.stdout.write(help_text(config_name, about))
            else:
                if (here := str(Path.cwd())) not in sys.path:
                    sys.path.append(here)  # the user's own modules, for `srlit` as for `python -m`
                sys.argv[1:], FOLDERS[1:] = options_first(sys.argv[1:])
                declare_options()
                # Hydra's errors are raised, and shown by `explained`.
                os.environ.setdefault("HYDRA_FULL_ERROR", "1")
                with explained(config_name, [w for w in sys.argv[1:] if not w.startswith("-")]):
                    compose_and_run()

        return main

    return decorate


def options_first(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The arguments with `--config-dir DIR` and the like in front, as Hydra's parser needs them.

    Returns:
        The arguments, and the user's own folder of configurations where one is named.
    """
    parsed = get_args_parser().parse_intermixed_args(list(arguments))
    options = [word for word in arguments if word not in parsed.overrides]
    named = [Path(parsed.config_dir).expanduser().absolute()] if parsed.config_dir else []
    return options + parsed.overrides, named


def choice(group: str, default: str) -> str:
    """Name of the file that was chosen of a group; `default` outside of a command line."""
    if not HydraConfig.initialized():
        return default
    return str(HydraConfig.get().runtime.choices[group])


def _innermost(error: BaseException) -> str:
    """The message of the error below Hydra's wrapping, with the key that Hydra names."""
    if isinstance(error, InstantiationException):
        key = str(error).rsplit("full_key: ", 1)[-1] if "full_key: " in str(error) else ""
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
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

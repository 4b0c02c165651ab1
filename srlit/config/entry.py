"""From the command line to a task: composing, checking, and mistakes in one line."""

import functools
import inspect
import logging
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
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from srlit.config import multirun
from srlit.config.check import ConfigError, check_config
from srlit.config.composing import compose_again, explain, jobs_of
from srlit.config.multirun import in_multirun
from srlit.config.root import CONF_DIR, FOLDERS, declare_options, help_text
from srlit.ops.malloc import keep_freed_memory

log = logging.getLogger(__name__)

Task = Callable[[DictConfig], Any]

# Mistakes of a user, as opposed to errors of the program: shown without a stack trace.
EXPECTED = (ValueError, OSError, HydraException, OmegaConfBaseException)


class SomeFailed(SystemExit):
    """The end of a command that did all it could: some images failed, all others are done.

    The exit code tells scripts so; any other failure ends with 1.
    """

    exit_code = 3

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = self.exit_code


class CheckFirst(Callback):
    """Hydra's callback that checks the configuration before Hydra makes the run's folder."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401
        """Check; SystemExit is the only exception that Hydra lets out of a callback."""
        with one_line_errors(), no_silent_bug():
            check_config(config, kwargs["config_name"], config.hydra.overrides.task)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401
        """Check every job of a grid, and its folder, before the first one starts."""
        name, typed = kwargs["config_name"], config.hydra.overrides.task
        with one_line_errors(), no_silent_bug(), explained(name, typed):
            multirun.CURRENT.overrides, multirun.CURRENT.failed = list(typed), {}
            folders: dict[Path, list[str]] = {}
            for overrides in jobs_of(config):
                with multirun.looked_at(overrides):
                    # Hydra sets the folder later.
                    job = compose_again(name, [*overrides, "paths.run=unknown"])
                    check_config(job, name, overrides)
                    check_folder(Path(config.hydra.sweep.dir) / job.name, job, overrides, folders)


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


def check_folder(
    folder: Path, job: DictConfig, overrides: list[str], taken: dict[Path, list[str]]
) -> None:
    """See that a job of a multirun has a folder of its own, and note it.

    Raises:
        ConfigError: another job has the same, or a training would start in a run's folder.
    """
    from srlit.checkpoint.runs import holds_run

    if folder in taken:
        raise ConfigError(
            f"name={job.name}: {' '.join(taken[folder])} and {' '.join(overrides)} would both "
            "write there; leave name out, and each job gets a name of its own"
        )
    if job.get("iterations") and job.resume is None and holds_run(folder):
        raise ConfigError(f"{folder} already holds a run: add resume=auto to go on with it")
    taken[folder] = overrides


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line where the user made a mistake.

    What broke a run that had begun is shown with its trace.
    """
    try:
        yield
    except SomeFailed as error:
        print(error, file=sys.stderr)  # which Python does only for exit code 1
        raise
    except EXPECTED as error:
        notes = getattr(error, "__notes__", [])
        known = isinstance(error, OSError) or getattr(error, "tells_all", False)
        if notes and not known:
            raise
        raise SystemExit("\n".join([f"error: {_innermost(error)}", *notes])) from error


@contextmanager
def explained(config_name: str, overrides: Sequence[str]) -> Iterator[None]:
    """End the program with one line where Hydra cannot compose what was asked for."""
    try:
        yield
    except (ConfigCompositionException, OverrideParseException) as error:
        raise SystemExit(f"error: {explain(error, config_name, overrides)}") from error
    except OSError as error:  # Hydra makes the folder
        where = f"{error.filename}: {error.strerror}"
        raise SystemExit(f"error: {where}; choose another folder: paths.runs=FOLDER") from error
    except ValueError as error:  # GROUP=null, where a group must be chosen or left alone
        if not str(error).startswith("Config group override"):
            raise
        raise SystemExit(f"error: {error}; to leave a group out, write ~GROUP") from error


@contextmanager
def interruptible() -> Iterator[None]:
    """End the program as shells expect it after Ctrl-C: exit code 130, and no trace."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise SystemExit(130) from error


def entry_point(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Turn a task into a command line program.

    Expected mistakes end with one line on stderr and exit code 1.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @functools.wraps(task)
        def checked(cfg: DictConfig) -> Any:  # noqa: ANN401 - Hydra passes it to sweepers
            quieten()
            keep_freed_memory()
            if in_multirun():
                return run_job(task, cfg, config_name)
            with one_line_errors():
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
                words = [word for word in sys.argv[1:] if not word.startswith("-")]
                with interruptible(), explained(config_name, words):
                    compose_and_run()
                if multirun.CURRENT.failed:
                    raise SystemExit(summary())

        return main

    return decorate


def run_job(task: Task, cfg: DictConfig, config_name: str) -> Any:  # noqa: ANN401
    """Run one job of a multirun; if it fails, the others still run, and `summary` tells.

    What was asked to stop ends the multirun.
    """
    try:
        with one_line_errors():  # checked again, as a sweeper may have chosen the values
            check_config(cfg, config_name, HydraConfig.get().overrides.task)
            return task(cfg)
    except SystemExit as stop:
        if isinstance(stop.code, int) and not isinstance(stop, SomeFailed):
            raise
        reason = str(stop).removeprefix("error: ")
    except Exception as error:  # noqa: BLE001 - the other jobs are run whatever it is
        traceback.print_exc()
        reason = _innermost(error)
    log.error("%s failed: %s", cfg.name, reason)
    multirun.CURRENT.failed[cfg.name] = multirun.identity()["job"], reason
    return None


def summary() -> str:
    """The jobs of the multirun that failed, one line each."""
    found = multirun.CURRENT.failed.items()
    failed = [f"  {name}: {reason.splitlines()[0]}" for name, (_, reason) in found]
    return "\n".join([f"error: {len(failed)} jobs failed:", *failed])


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


def typed_keys() -> set[str]:
    """The keys that were given on the command line; none outside of one."""
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else ()
    return {override.lstrip("+").partition("=")[0] for override in typed}


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

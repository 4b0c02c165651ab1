"""Trainings that are killed or asked to stop at chosen moments, in processes of their own.

Processes come from a server that has imported everything, so that a start takes a second or two.
"""

import csv
import importlib
import multiprocessing
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from srlit.checkpoint import load_checkpoint
from tests.helpers import TINY_TRAINING, compose_config

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["tests.integration.survival", "srlit.train", "srlit.callbacks", "lpips"]
)

ITERATIONS = 8
RANKING = "callbacks.lpips_checkpoint.LPIPSCheckpoint._record"
VALIDATION = "phases.base.Phase.validation_step"
D_LOSS = "phases.adversarial.AdversarialPhase.discriminator_loss"
# Intervals that cross each other: a checkpoint falls into the middle of a logged interval.
ADVERSARIAL = (
    *TINY_TRAINING,
    *("+experiment=phase3", "init_from=null", "discriminator=patchgan_small", "loss=l1_lpips_gan"),
    *("logger.tensorboard=null", "callbacks.image_logger=null", "metrics.names=[psnr_rgb_b0]"),
    *("callbacks.lpips_checkpoint.metric=psnr_rgb_b0", "callbacks.lpips_checkpoint.top_k=1"),
    *(f"iterations={ITERATIONS}", "validate_every=3", "log_every=2", "resume=auto"),
)


def die() -> None:
    """End without a chance to clean up, as in a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


# -- moments: each changes the child's program; `turn` says at which iteration or occasion --------


def at_call(method: str, when: Callable[..., bool], act: Callable[[], object], *, after=False):
    """Act before or after a method's calls, such as `phases.base.Phase.validation_step`."""
    module, owner, name = f"srlit.{method}".rsplit(".", 2)
    owner = getattr(importlib.import_module(module), owner)
    original = getattr(owner, name)

    def trap(*arguments, **named):
        if not after and when(*arguments):
            act()
        result = original(*arguments, **named)
        if after and when(*arguments):
            act()
        return result

    setattr(owner, name, trap)


def iteration_is(turn: int) -> Callable[..., bool]:
    return lambda phase, *_: phase.iteration == turn


def between_the_updates(turn: int) -> None:
    """After the discriminator's update, before the generator's."""
    at_call("phases.adversarial.AdversarialPhase.generator_loss", iteration_is(turn), die)


def within_a_save(turn: int) -> None:
    """With half of a checkpoint's bytes written."""
    _die_after_writing(turn, fraction=0.5)


def before_the_rename(turn: int) -> None:
    """With a checkpoint written that has no name yet."""
    _die_after_writing(turn, fraction=1)


def _die_after_writing(turn: int, fraction: float) -> None:
    from srlit.checkpoint import file_format

    original = file_format._write
    saves = []

    def trap(content, path):
        saves.append(path)
        original(content, path)
        if len(saves) == turn:
            os.truncate(path, int(fraction * len(content)))
            die()

    file_format._write = trap


def before_the_ranking(turn: int) -> None:
    """With a checkpoint that is not ranked, and one that should be removed."""
    at_call(RANKING, lambda callback, _: len(callback.rows) == turn, die)


def within_a_rotation(turn: int) -> None:
    """After the ranking, before what fell out of it is removed."""
    at_call(RANKING, lambda callback, _: len(callback.rows) == turn, die, after=True)


def within_a_validation(turn: int) -> None:
    """With validation photos measured, and no mean yet."""
    at_call(VALIDATION, lambda phase, *_: phase.iteration >= turn, die, after=True)


def within_a_row(turn: int) -> None:
    """With half of a row in the table."""
    from srlit.callbacks.csv_logger import CSVLogger

    original = CSVLogger.log_metrics

    def trap(self, metrics, step=None):
        if step is not None and step >= turn:
            with self.path.open("a") as file:
                file.write(f"{step},0.12")
            die()
        original(self, metrics, step)

    CSVLogger.log_metrics = trap


def asked_to_stop(turn: int) -> None:
    """By a signal, in the middle of an iteration."""
    at_call(D_LOSS, iteration_is(turn), lambda: os.kill(os.getpid(), signal.SIGTERM))


def asked_to_stop_validating(turn: int) -> None:
    """By a signal, during a validation."""
    ask = partial(os.kill, os.getpid(), signal.SIGTERM)
    at_call(VALIDATION, lambda phase, *_: phase.iteration >= turn, ask)


def _whole_group_asked(turn: int, number: int) -> None:
    """By a signal to the loader's workers too, which have a batch under way."""
    os.setpgid(0, 0)

    def ask() -> None:
        # From elsewhere: a worker takes its parent's SIGTERM for a regular end.
        command = ["kill", f"-{int(number)}", "--", f"-{os.getpgid(0)}"]
        subprocess.run(command, check=True, start_new_session=True)
        for worker in multiprocessing.active_children():
            worker.join(0.3)  # one that dies of it is noticed
            assert worker.is_alive()

    at_call(D_LOSS, iteration_is(turn), ask)


def whole_group_asked_by_sigterm(turn: int) -> None:
    """As `scancel` and `srun` do."""
    _whole_group_asked(turn, signal.SIGTERM)


def whole_group_asked_by_ctrl_c(turn: int) -> None:
    """As a terminal does."""
    _whole_group_asked(turn, signal.SIGINT)


def whole_group_asked_by_hangup(turn: int) -> None:
    """As a terminal does that is closed, or a lost connection."""
    _whole_group_asked(turn, signal.SIGHUP)


def stopped_worker(turn: int) -> None:
    """With a worker that is stopped for ever."""

    def stop() -> None:
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGSTOP)

    at_call(D_LOSS, iteration_is(turn), stop)


def unseeded(turn: int) -> None:
    """A training whose draws do not follow the iteration."""
    from srlit.phases.base import Phase

    Phase.on_train_batch_start = lambda self, batch, batch_idx: None


# -- trainings ----------------------------------------------------------------------------------


def _child(folder: str, overrides: tuple[str, ...], moment: str | None, turn: int) -> None:
    os.chdir(folder)
    # As in a process of its own; the server's workers would outlive a killed training.
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    from srlit.train import train

    if moment:
        globals()[moment](turn)
    train(compose_config("train", *overrides, "paths.runs=runs", "paths.cache=cache", "name=a"))


def start(folder: Path, *overrides: str, moment: str | None = None, turn: int = 0):
    """Begin a training, or go on with it."""
    folder.mkdir(exist_ok=True)
    process = SERVER.Process(target=_child, args=(str(folder), overrides, moment, turn))
    process.start()
    return process


def go(folder: Path, *overrides: str, moment: str | None = None, turn: int = 0) -> int:
    """The same until it ends; gives its exit code, -9 after SIGKILL."""
    process = start(folder, *overrides, moment=moment, turn=turn)
    process.join(120)
    assert process.exitcode is not None, "hangs"
    return process.exitcode


def kill_at_random(folder: Path, *overrides: str, within: float, draws: random.Random) -> int:
    """SIGKILL from outside after some seconds; the exit code is 0 if it was faster."""
    process = start(folder, *overrides)
    time.sleep(draws.uniform(0, within))
    process.kill()
    process.join(60)
    return process.exitcode


# -- what is left -------------------------------------------------------------------------------


def outcome(folder: Path, iterations: int = ITERATIONS) -> dict[str, object]:
    """Everything a finished run leaves that must not depend on interruptions."""
    run = folder / "runs" / "a"
    last = load_checkpoint(run / "checkpoints" / f"iteration_{iterations:07d}.safetensors")
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    return {
        "tensors": flattened(last),
        "rows": rows,
        "best": (run / "best.json").read_text(),
        "files": sorted(path.name for path in (run / "checkpoints").glob("*")),
    }


def flattened(tree: object, key: str = "") -> dict[str, object]:
    """Leaves of a tree by their keys; tensors as their bytes."""
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {k: v for name, part in items for k, v in flattened(part, f"{key}.{name}").items()}
    return {key: _comparable(tree)}


def _comparable(value: object) -> object:
    if not isinstance(value, torch.Tensor):
        return value
    return value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes()


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """What is not the same in two outcomes."""
    found = [key for key in ("rows", "best", "files") if one[key] != other[key]]
    first, second = one["tensors"], other["tensors"]
    return found + [k for k in {**first, **second} if first.get(k) != second.get(k)]

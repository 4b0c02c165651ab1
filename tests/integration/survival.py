"""Trainings that are killed at chosen moments, in processes of their own.

Processes come from a server that has imported everything, so that a start takes a second or two.
"""

import csv
import io
import multiprocessing
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import torch

from srlit.checkpoint.io import leaves
from tests.helpers import TINY, compose_config

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["tests.integration.survival", "srlit.train", "srlit.callbacks", "lpips"]
)

ITERATIONS = 8
# Intervals that cross each other: a checkpoint falls into the middle of a logged interval.
ADVERSARIAL = (
    *TINY,
    "+experiment=phase3",
    "init_from=null",
    "model=edsr_small",
    "model.width=8",
    "model.blocks=1",
    "discriminator=patchgan_small",
    "loss=l1_lpips_gan",
    "logger.tensorboard=null",
    "callbacks.image_logger=null",
    "metrics.names=[psnr_rgb_b0]",
    "callbacks.lpips_checkpoint.metric=psnr_rgb_b0",
    "callbacks.lpips_checkpoint.top_k=1",
    f"iterations={ITERATIONS}",
    "validate_every=3",
    "log_every=2",
    "resume=auto",
)


def die() -> None:
    """As if power had gone."""
    os.kill(os.getpid(), signal.SIGKILL)


# -- moments: each arms a trap in the child; `turn` says at which iteration or occasion ------------


def between_the_updates(turn: int) -> None:
    """After the discriminator's update, before the generator's."""
    from srlit.phases.adversarial import AdversarialPhase

    original = AdversarialPhase.generator_loss

    def trap(self, *arguments, **named):
        if self.iteration == turn:
            die()
        return original(self, *arguments, **named)

    AdversarialPhase.generator_loss = trap


def within_a_save(turn: int) -> None:
    """With half of a checkpoint's bytes written."""
    from srlit.checkpoint import io as checkpoint_io

    original = checkpoint_io._save
    saves = []

    def trap(checkpoint, path):
        saves.append(path)
        if len(saves) == turn:
            whole = io.BytesIO()
            torch.save(checkpoint, whole)
            path.write_bytes(whole.getvalue()[: whole.tell() // 2])
            die()
        original(checkpoint, path)

    checkpoint_io._save = trap


def before_the_rename(turn: int) -> None:
    """With a checkpoint listed in the manifest that has no name yet."""
    from srlit.checkpoint import manifest

    original = manifest.enter
    entered = []

    def trap(*arguments):
        original(*arguments)
        entered.append(1)
        if len(entered) == turn:
            die()

    manifest.enter = trap


def before_the_ranking(turn: int) -> None:
    """With a checkpoint that no ranking knows, and one that should be removed."""
    from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint

    original = LPIPSCheckpoint._record

    def trap(self, kept):
        if len(self.rows) == turn:
            die()
        original(self, kept)

    LPIPSCheckpoint._record = trap


def within_a_rotation(turn: int) -> None:
    """After the ranking, before what fell out of it is gone."""
    from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint

    original = LPIPSCheckpoint._record

    def trap(self, kept):
        original(self, kept)
        if len(self.rows) == turn:
            die()

    LPIPSCheckpoint._record = trap


def within_a_validation(turn: int) -> None:
    """With validation photos measured, and no mean yet."""
    from srlit.phases.base import Phase

    original = Phase.validation_step

    def trap(self, batch, batch_idx):
        original(self, batch, batch_idx)
        if self.iteration >= turn:
            die()

    Phase.validation_step = trap


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


def asked_to_stop(turn: int, number: int = signal.SIGTERM) -> None:
    """By a signal, amid an iteration's update."""
    from srlit.phases.adversarial import AdversarialPhase

    original = AdversarialPhase.discriminator_loss

    def trap(self, *arguments, **named):
        if self.iteration == turn:
            os.kill(os.getpid(), number)
        return original(self, *arguments, **named)

    AdversarialPhase.discriminator_loss = trap


def _whole_group_asked(turn: int, number: int) -> None:
    """By a signal to the loader's workers too, which have a batch under way."""
    from srlit.phases.adversarial import AdversarialPhase

    os.setpgid(0, 0)
    original = AdversarialPhase.discriminator_loss

    def trap(self, *arguments, **named):
        if self.iteration == turn:
            # From elsewhere: a worker takes its parent's SIGTERM for a regular end.
            group = f"-{os.getpgid(0)}"
            command = ["kill", f"-{int(number)}", "--", group]
            subprocess.run(command, check=True, start_new_session=True)
            time.sleep(0.5)  # a worker that dies of it is noticed
        return original(self, *arguments, **named)

    AdversarialPhase.discriminator_loss = trap


def whole_group_asked_by_sigterm(turn: int) -> None:
    """As `scancel` and `srun` do."""
    _whole_group_asked(turn, signal.SIGTERM)


def whole_group_asked_by_ctrl_c(turn: int) -> None:
    """As a terminal does."""
    _whole_group_asked(turn, signal.SIGINT)


def asked_to_stop_validating(turn: int) -> None:
    """By a signal, amid a validation."""
    from srlit.phases.base import Phase

    original = Phase.validation_step

    def trap(self, batch, batch_idx):
        if self.iteration >= turn:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, batch_idx)

    Phase.validation_step = trap


def unseeded(turn: int) -> None:
    """A training whose draws do not follow the iteration."""
    from srlit.phases.base import Phase

    Phase.on_train_batch_start = lambda self, batch, batch_idx: None


MOMENTS = {
    moment.__name__: moment
    for moment in (
        between_the_updates,
        within_a_save,
        before_the_rename,
        before_the_ranking,
        within_a_rotation,
        within_a_validation,
        within_a_row,
        asked_to_stop,
        asked_to_stop_validating,
        whole_group_asked_by_sigterm,
        whole_group_asked_by_ctrl_c,
        unseeded,
    )
}


# -- trainings ----------------------------------------------------------------------------------


def _child(folder: str, overrides: tuple[str, ...], moment: str | None, turn: int) -> None:
    os.chdir(folder)
    # As in a process of its own; the server's workers would outlive a killed training.
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    from srlit.train import train

    if moment:
        MOMENTS[moment](turn)
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
    last = torch.load(run / "checkpoints" / f"iteration_{iterations:07d}.ckpt", weights_only=True)
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    return {
        "tensors": flattened(last),
        "rows": rows,
        "best": (run / "best.json").read_text(),
        "files": sorted(path.name for path in (run / "checkpoints").glob("*")),
    }


def flattened(tree: object) -> dict[str, object]:
    """Leaves of a tree by their keys; tensors as their bytes."""
    return {key: _comparable(value) for key, value in leaves(tree, "")}


def _comparable(value: object) -> object:
    if not isinstance(value, torch.Tensor):
        return value
    return value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes()


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """What is not the same in two outcomes."""
    found = [key for key in ("rows", "best", "files") if one[key] != other[key]]
    first, second = one["tensors"], other["tensors"]
    return found + [k for k in {**first, **second} if first.get(k) != second.get(k)]

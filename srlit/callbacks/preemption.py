"""Stops a training on a signal, after the current iteration, with a checkpoint."""

import logging
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from srlit.callbacks.saving import save_iteration
from srlit.phases.base import Phase
from srlit.phases.gradient_sync import all_reduce_max
from srlit.utils.stop_signals import STOP_SIGNALS

log = logging.getLogger(__name__)


class Stopped(SystemExit):
    """Ends a training that was asked to stop, after its checkpoint was saved."""


class Preemption(Callback):
    """SIGTERM, SIGUSR1, SIGHUP or Ctrl-C: save after the current iteration, exit by its code.

    The signal's handler only sets a flag, as it may run in the middle of an update. `resume=auto`
    continues. After SIGUSR1 a SLURM job is requeued. A second Ctrl-C stops at once. What is ignored
    stays ignored: `nohup` ignores SIGHUP.

    Args:
        folder: the run's folder.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self.received: signal.Signals | None = None
        self.requeue = False
        self._before: dict[signal.Signals, Any] = {}

    # -- signals --------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Replace the signal handlers of Lightning, which act at once."""
        if trainer.received_sigterm:
            self.received = signal.SIGTERM
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Restore the signal handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Remember the signal."""
        self.received = signal.Signals(number)
        # SLURM may send SIGTERM after it, before the iteration has ended.
        self.requeue |= self.received.name == "SIGUSR1"
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            log.warning("stopping after this iteration; Ctrl-C again to stop at once")

    # -- stopping -------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: object, **__: object
    ) -> None:
        """Stop after an iteration."""
        self._stop_if_asked(trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: object, **__: object
    ) -> None:
        """Stop during a validation, which starts again after the resume."""
        if not trainer.sanity_checking and trainer.world_size == 1:
            self._stop_if_asked(trainer, pl_module)

    def _stop_if_asked(self, trainer: Trainer, phase: LightningModule) -> None:
        """Save and end all processes, as soon as one of them was asked to."""
        assert isinstance(phase, Phase)
        asked = all_reduce_max(self.received or 0)
        if not asked:
            return
        number = signal.Signals(asked)
        path = save_iteration(trainer, phase, self.folder)
        saved = f"stopped after iteration {phase.iteration} and saved {path}"
        log.warning("%s: %s; resume=auto continues", number.name, saved)
        if all_reduce_max(int(self.requeue)) and trainer.is_global_zero:
            requeue_slurm_job()
        raise Stopped(STOP_SIGNALS[number])


def slurm_environment() -> list[SLURMEnvironment]:
    """Lightning's plugin for SLURM jobs, without its requeueing, which would save in mid-update."""
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SLURMEnvironment(auto_requeue=False)]


def requeue_slurm_job() -> None:
    """Requeue this job, where it is one of SLURM."""
    if not SLURMEnvironment.detect():
        return
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    program = shutil.which("scontrol")
    if program is None or not re.fullmatch(r"[0-9]+(_[0-9]+)?", job):
        log.error("cannot requeue SLURM job %r: scontrol is %s", job, program or "not on the PATH")
        return
    done = subprocess.run(  # noqa: S603 - SLURM's own program and a checked number
        [program, "requeue", job], check=False, capture_output=True, text=True
    )
    if done.returncode:
        log.error("scontrol requeue %s failed: %s", job, done.stderr.strip())
    else:
        log.info("SLURM job %s is requeued", job)

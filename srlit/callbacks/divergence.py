"""Sick trainings: updates that are not finite, flat images, colour casts, a game that is over."""

import logging
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer

from srlit.callbacks.ema import EMA
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.checkpoint import generator_weights, load_checkpoint
from srlit.data import PhotoDataModule
from srlit.phases import Phase

log = logging.getLogger(__name__)


class DivergedError(ValueError):
    """A training that cannot go on; the message says what was tried and what to change."""

    tells_all = True


class Alarm:
    """One sign of sickness, seen in the means of a logged interval.

    Args:
        key: which mean.
        low: sick below this; None: no lower limit.
        high: sick above this; None: no upper limit.
        says: what it means and what to change.
    """

    def __init__(
        self, *, key: str, says: str, low: float | None = None, high: float | None = None
    ) -> None:
        if low is None and high is None:
            msg = f"callbacks.divergence.alarms: {key!r} has no limit: expected low or high"
            raise ValueError(msg)
        self.key, self.says, self.low, self.high = key, says, low, high

    def rings(self, means: Mapping[str, float]) -> bool:
        """Whether the mean is beyond a limit; what was not measured is not sick."""
        value = means.get(self.key)
        if value is None:
            return False
        return (self.low is not None and value < self.low) or (
            self.high is not None and value > self.high
        )


class DivergenceGuard(Callback):
    """Skips, then rolls back, then stops; and warns of what only people can judge.

    Every update whose loss or gradient is not finite is left out by the phase. After `patience`
    iterations in a row with such an update, networks, optimizers and moving average return to the
    last validated checkpoint with a lower learning rate; the clock and so the batches go on. After
    `rollbacks` of these, or before the first validation, the training ends.

    Args:
        patience: iterations in a row without a finite update before anything is done, >= 1.
        rollbacks: how many returns are tried, >= 0.
        lr_factor: factor on every learning rate at each return, above 0, at most 1.
        alarms: name to alarm; each warns once when it has rung `intervals` times in a row.
        intervals: see `alarms`, >= 1.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        *,
        patience: int = 5,
        rollbacks: int = 3,
        lr_factor: float = 0.5,
        alarms: Mapping[str, Alarm] | None = None,
        intervals: int = 5,
    ) -> None:
        for name, value, least in (
            ("patience", patience, 1),
            ("rollbacks", rollbacks, 0),
            ("intervals", intervals, 1),
        ):
            if value < least:
                msg = f"callbacks.divergence.{name}={value}: expected at least {least}"
                raise ValueError(msg)
        if not 0 < lr_factor <= 1:
            msg = f"callbacks.divergence.lr_factor={lr_factor}: expected above 0, at most 1"
            raise ValueError(msg)
        self.patience, self.rollbacks, self.lr_factor = patience, rollbacks, lr_factor
        self.alarms = dict(alarms or {})
        self.intervals = intervals
        self._in_a_row: dict[str, int] = {}
        self._returned = 0
        self._rung: dict[str, int] = {}

    @property
    def state_key(self) -> str:
        """The name under which checkpoints keep the counts."""
        return "DivergenceGuard"

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Look at the updates, on a GPU only where the row of an interval waits for it anyway."""
        assert isinstance(pl_module, Phase)
        row_is_due = pl_module.journal.ends_at(pl_module.iteration)
        ends = pl_module.iteration >= pl_module.iterations
        if row_is_due or ends or pl_module.device.type == "cpu":
            self._look_at_updates(trainer, pl_module)
        if row_is_due:
            self._look_at_means(pl_module)

    # -- updates --------------------------------------------------------------------------------

    def _look_at_updates(self, trainer: Trainer, phase: Phase) -> None:
        """Count, tell, and act when it has gone on for too long."""
        for network, updates in phase.guard.read().items():
            skipped = [iteration for iteration, finite in updates.items() if not finite]
            for finite in updates.values():
                self._in_a_row[network] = 0 if finite else self._in_a_row.get(network, 0) + 1
            if skipped:
                self._tell(trainer, phase, network, skipped)
        if max(self._in_a_row.values(), default=0) >= self.patience:
            self._return(trainer, phase)

    def _tell(self, trainer: Trainer, phase: Phase, network: str, skipped: list[int]) -> None:
        """Warn of skipped updates and name the photos of the first one's batch."""
        log.warning(
            "loss or gradient of the %s not finite in iteration %s: not updated. Photos of %d: %s",
            network,
            ", ".join(map(str, skipped)),
            skipped[0],
            photos_of(trainer, skipped[0]),
        )
        phase.write_row({f"skipped/{network}": float(len(skipped))})

    def _return(self, trainer: Trainer, phase: Phase) -> None:
        """Go back to the last validated checkpoint, more slowly.

        Raises:
            DivergedError: there is none, or it has been tried often enough.
        """
        networks = " and ".join(n for n, row in self._in_a_row.items() if row >= self.patience)
        source = next(p for p in trainer.callbacks if isinstance(p, LPIPSCheckpoint)).sound  # type: ignore[attr-defined]
        if source is None or self._returned >= self.rollbacks:
            tried = f"{self._returned} returns to a checkpoint" if source else "no checkpoint yet"
            msg = (
                f"the training diverged: the {networks} had no finite gradient for "
                f"{self.patience} iterations before iteration {phase.iteration} ({tried}). Lower "
                "the learning rate, set phase.grad_clip_norm, or a loss weight, and start again"
            )
            raise DivergedError(msg)
        self._returned += 1
        self._in_a_row = {}
        restore(trainer, phase, load_checkpoint(source))
        lr_factor(trainer, self.lr_factor)
        log.warning(
            "%s not finite for %d iterations: went back to %s, learning rates x %g (%d of %d)",
            networks,
            self.patience,
            source,
            self.lr_factor,
            self._returned,
            self.rollbacks,
        )
        phase.write_row({"rollback": float(self._returned)})

    # -- alarms ---------------------------------------------------------------------------------

    def _look_at_means(self, phase: Phase) -> None:
        """Warn once when an alarm has rung long enough, and again only after it was silent."""
        for name, alarm in self.alarms.items():
            self._rung[name] = (
                self._rung.get(name, 0) + 1 if alarm.rings(phase.journal.latest) else 0
            )
            if self._rung[name] == self.intervals:
                value = phase.journal.latest[alarm.key]
                log.warning(
                    "iteration %d: %s (%s = %.4g)", phase.iteration, alarm.says, alarm.key, value
                )
                phase.write_row({f"alarm/{name}": value})

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What has been counted."""
        return {"in_a_row": self._in_a_row, "returned": self._returned, "rung": self._rung}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._in_a_row = dict(state_dict["in_a_row"])
        self._returned = state_dict["returned"]
        self._rung = dict(state_dict["rung"])


def photos_of(trainer: Trainer, iteration: int) -> str:
    """Names of the photos of an iteration's batch on this process."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, PhotoDataModule):
        return "unknown"
    return ", ".join(sorted({str(path) for path in data.photos_of(iteration)}))


def restore(trainer: Trainer, phase: Phase, checkpoint: dict[str, Any]) -> None:
    """Networks, optimizers, moving average and loss scale; clock and learning rates stay."""
    phase.load_state_dict(checkpoint["state_dict"])
    for optimizer, state in zip(trainer.optimizers, checkpoint["optimizer_states"], strict=True):
        rates = [group["lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict(state)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EMA):
            callback.return_to(generator_weights(checkpoint))
    # Under fp16 the scale was halved at each update that was not finite: gradients would vanish.
    precision = trainer.precision_plugin
    if scale := checkpoint.get(type(precision).__qualname__):
        precision.load_state_dict(scale)


def lr_factor(trainer: Trainer, factor: float) -> None:
    """Lower every learning rate for the rest of the training, whatever its schedule."""
    for config in trainer.lr_scheduler_configs:
        scheduler: Any = config.scheduler
        for group in scheduler.optimizer.param_groups:
            group["lr"] *= factor
            if "initial_lr" in group:
                group["initial_lr"] *= factor
        if hasattr(scheduler, "base_lrs"):
            scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]

"""Diverged trainings: updates that are not finite, flat images, colour casts, an unfair contest."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Interval
from lightning import Callback, LightningModule, Trainer

from srlit.callbacks.ema import EMA
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.checkpoint.loading import load_checkpoint, network_weights
from srlit.data.datamodule import PhotoDataModule
from srlit.phases.base import Phase
from srlit.types import Count, NonNegativeInt

log = logging.getLogger(__name__)


class DivergedError(ValueError):
    """A training that cannot go on; the message says what was tried and what to change."""

    tells_all = True


@dataclass(kw_only=True, eq=False)
class Alarm:
    """A limit on the mean of a logged value over an interval.

    Args:
        key: name of the value.
        message: what it means and what to change.
        low: raised below this; None: no lower limit.
        high: raised above this; None: no upper limit.

    Raises:
        ValueError: neither limit is given.
    """

    key: str
    message: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ValueError(f"callbacks.divergence.alarms: {self.key!r}: expected low or high")

    def is_raised(self, means: Mapping[str, float]) -> bool:
        """Whether the mean is beyond a limit; False where it was not measured."""
        value = means.get(self.key, math.nan)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return value < low or value > high


@dataclass(kw_only=True, eq=False)
class DivergenceGuard(Callback):
    """Rolls a diverged training back, or ends it; warns of images that look wrong.

    The phase skips every update whose loss or gradient is not finite. After `patience` iterations
    in a row with such an update, networks, optimizers and EMA return to the last finite checkpoint,
    with lower learning rates; the iteration, and so the batches, go on. After `rollbacks` of these,
    or before the first validation, the training ends.

    Args:
        patience: iterations in a row without a finite update before a rollback.
        rollbacks: how often the training may be rolled back.
        lr_factor: factor on every learning rate at each rollback.
        alarms: name to alarm; each warns once when it has been raised `intervals` times in a row.
        intervals: logged intervals until an alarm warns.
    """

    patience: Count = 5
    rollbacks: NonNegativeInt = 3
    lr_factor: Annotated[float, Interval(gt=0, le=1)] = 0.5
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    intervals: Count = 5

    def __post_init__(self) -> None:
        self._in_a_row: dict[str, int] = {}
        self._rolled_back = 0
        self._raised: dict[str, int] = {}
        # Network to how many updates were skipped and how many were due: in all, and since the
        # last logged row.
        self._updates: dict[str, list[int]] = {}
        self._of_interval: dict[str, list[int]] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: object, **__: object
    ) -> None:
        """Check the updates; on a GPU only at an interval's end, when the host waits anyway."""
        assert isinstance(pl_module, Phase)
        interval_ends = pl_module.running_means.ends_at(pl_module.iteration)
        training_ends = pl_module.iteration >= pl_module.iterations
        if interval_ends or training_ends or pl_module.device.type == "cpu":
            self._check_updates(trainer, pl_module)
        if interval_ends:
            self._check_alarms(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn of a validation that gave no numbers."""
        assert isinstance(pl_module, Phase)
        if trainer.sanity_checking:
            return
        if bad := [n for n, v in pl_module.validation.items() if math.isnan(v) or v == -math.inf]:
            log.warning("iteration %d: %s not finite", pl_module.iteration, " and ".join(bad))
            pl_module.write_row({"alarm/validation": float(len(bad))})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Tell how many updates were skipped, if any."""
        for network, (skipped, made) in self._updates.items():
            if skipped:
                log.warning("%d of %d updates of the %s were skipped", skipped, made, network)

    # -- updates --------------------------------------------------------------------------------

    def _check_updates(self, trainer: Trainer, phase: Phase) -> None:
        """Count skipped updates, report them, and roll back after too many in a row."""
        for network, updates in phase.finite_check.read().items():
            skipped = [iteration for iteration, finite in updates.items() if not finite]
            for finite in updates.values():
                self._in_a_row[network] = 0 if finite else self._in_a_row.get(network, 0) + 1
            for counts in (self._updates, self._of_interval):
                before = counts.get(network, [0, 0])
                counts[network] = [before[0] + len(skipped), before[1] + len(updates)]
            if skipped:
                self._report(trainer, phase, network, skipped)
        if max(self._in_a_row.values(), default=0) >= self.patience:
            self._roll_back(trainer, phase)

    def _report(self, trainer: Trainer, phase: Phase, network: str, skipped: list[int]) -> None:
        """Warn of skipped updates and name the photos of the first one's batch."""
        iterations = ", ".join(map(str, skipped))
        photos = f"Photos of {skipped[0]}: {photos_of(trainer, skipped[0])}"
        text = "loss or gradient of the %s not finite in iteration %s: not updated. %s%s"
        terms = phase.running_means.not_finite()
        first = f"Not finite, the most frequent first: {', '.join(terms)}. " if terms else ""
        log.warning(text, network, iterations, first, photos)
        phase.write_row({f"skipped/{network}": float(len(skipped))})

    def _roll_back(self, trainer: Trainer, phase: Phase) -> None:
        """Return to the last finite checkpoint with lower learning rates.

        Raises:
            DivergedError: there is none, or it has been tried often enough.
        """
        networks = " and ".join(n for n, row in self._in_a_row.items() if row >= self.patience)
        [selector] = [c for c in trainer.callbacks if isinstance(c, LPIPSCheckpoint)]  # type: ignore[attr-defined]
        source = selector.newest_finite
        if source is None or self._rolled_back >= self.rollbacks:
            tried = f"{self._rolled_back} rollbacks" if source else "no checkpoint yet"
            raise DivergedError(
                f"the training diverged: the {networks} had no finite gradient for "
                f"{self.patience} iterations before iteration {phase.iteration} ({tried}). Lower "
                "the learning rate, set phase.grad_clip_norm, or a loss weight, and start again"
            )
        self._rolled_back += 1
        self._in_a_row = {}
        load_for_rollback(trainer, phase, load_checkpoint(source))
        scale_learning_rates(trainer, self.lr_factor)
        log.warning(
            "%s not finite for %d iterations: rolled back to %s, learning rates x %g (%d of %d)",
            networks,
            self.patience,
            source,
            self.lr_factor,
            self._rolled_back,
            self.rollbacks,
        )
        phase.write_row({"rollback": float(self._rolled_back)})

    # -- alarms ---------------------------------------------------------------------------------

    def _check_alarms(self, phase: Phase) -> None:
        """Warn when an alarm has been raised for `intervals`, and again only after a pause."""
        skipped = {f"skipped/{n}": s / made for n, (s, made) in self._of_interval.items() if made}
        means = phase.running_means.latest | skipped
        self._of_interval = {}
        for name, alarm in self.alarms.items():
            self._raised[name] = self._raised.get(name, 0) + 1 if alarm.is_raised(means) else 0
            if self._raised[name] == self.intervals:
                value = means[alarm.key]
                said = f"{alarm.message} ({alarm.key} = {value:.4g})"
                log.warning("iteration %d: %s", phase.iteration, said)
                phase.write_row({f"alarm/{name}": value})

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        counts = {"in_a_row": self._in_a_row, "raised": self._raised}
        updates = {"updates": self._updates, "of_interval": self._of_interval}
        return {**counts, **updates, "rolled_back": self._rolled_back}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self._in_a_row = dict(state_dict["in_a_row"])
        self._rolled_back = state_dict["rolled_back"]
        self._raised = dict(state_dict["raised"])
        self._updates = dict(state_dict["updates"])
        self._of_interval = dict(state_dict["of_interval"])


def photos_of(trainer: Trainer, iteration: int) -> str:
    """Names of the photos of an iteration's batch on this process."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, PhotoDataModule):
        return "unknown"
    return ", ".join(sorted({str(path) for path in data.photos_of(iteration)}))


def load_for_rollback(trainer: Trainer, phase: Phase, checkpoint: dict[str, Any]) -> None:
    """Load networks, optimizers, EMA and loss scale; iteration and learning rates stay."""
    phase.load_state_dict(checkpoint["state_dict"])
    for optimizer, state in zip(trainer.optimizers, checkpoint["optimizer_states"], strict=True):
        rates = [group["lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict(state)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EMA):
            callback.load(network_weights(checkpoint))
    # Under fp16 the scale was halved at each update that was not finite: gradients would vanish.
    precision = trainer.precision_plugin
    if scale := checkpoint.get(type(precision).__qualname__):
        precision.load_state_dict(scale)


def scale_learning_rates(trainer: Trainer, factor: float) -> None:
    """Multiply every learning rate for the rest of the training, whatever its schedule."""
    for config in trainer.lr_scheduler_configs:
        scheduler: Any = config.scheduler
        for group in scheduler.optimizer.param_groups:
            group["lr"] *= factor
            if "initial_lr" in group:
                group["initial_lr"] *= factor
        if hasattr(scheduler, "base_lrs"):
            scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]

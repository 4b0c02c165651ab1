"""Checkpoints, ranked by a perceptual metric."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from srlit.callbacks.saving import link_as_last, save_iteration
from srlit.checkpoint.runs import BEST, checkpoint_name, checkpoints_of
from srlit.metrics.ranking import SelectionRule, measured_name
from srlit.metrics.suite import MetricSuite
from srlit.phases.base import Phase
from srlit.types import Count, NonNegative
from srlit.utils.atomic import write_json

log = logging.getLogger(__name__)


class LPIPSCheckpoint(Checkpoint):
    """After each validation: a checkpoint, the best k by a rule, and `best.json`.

    Lightning's ModelCheckpoint would save before the validation, and its names would count both
    optimizers' steps.

    Args:
        folder: the run's folder.
        metric: ranks the checkpoints; a name of `srlit.metrics` such as `lpips_alex`.
        minimum: metric to the worst value that may be selected, such as {psnr_rgb_b0: 24}.
        tolerance: metric to how much worse than the best validation may be selected.
        top_k: how many of the best to keep.

    Raises:
        ValueError: a metric of which neither higher nor lower is better.
    """

    def __init__(
        self,
        *,
        folder: str,
        metric: str = "lpips_alex",
        minimum: Mapping[str, float | None] | None = None,
        tolerance: Mapping[str, NonNegative | None] | None = None,
        top_k: Count = 3,
    ) -> None:
        self.folder = Path(folder)
        self.asked = SelectionRule(metric=metric, minimum=minimum, tolerance=tolerance)
        self.top_k = top_k
        self.rows: list[dict[str, Any]] = []

    @property
    def newest_finite(self) -> Path | None:
        """The newest checkpoint that is finite, as was its validation; None before there is one."""
        finite = [r for r in self.rows if r["finite"] and math.isfinite(r["metrics"]["loss"])]
        return next((path for row in reversed(finite) if (path := self._path(row)).is_file()), None)

    @property
    def best_model_path(self) -> str:
        """The selected checkpoint, under the name that loggers look for."""
        ranked = self._ranked()
        return str(self._path(ranked[0])) if ranked else ""

    def check(self, metrics: MetricSuite) -> None:
        """Check that the validation measures the rule's metrics.

        The tolerance of a metric that it does not measure is dropped, as there is one by default.

        Raises:
            ValueError: the metric that ranks, or that of a minimum, is not measured.
        """
        measured = {*metrics.names, "loss"}
        self.asked = self.asked.where_measured(measured)
        for name in sorted(self.asked.names):
            if measured_name(name, measured) not in measured:
                raise ValueError(
                    f"callbacks.lpips_checkpoint asks for {name!r}, "
                    f"but metrics.names measures {', '.join(sorted(measured))}"
                )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the rule; finish a ranking that a kill interrupted."""
        assert isinstance(pl_module, Phase)
        self.check(pl_module.metrics)
        if trainer.is_global_zero:
            self._set_aside_after(pl_module.iteration)
            if self.rows:
                self._keep_best(pl_module.iteration)
        trainer.strategy.barrier()

    def _set_aside_after(self, iteration: int) -> None:
        """Move checkpoints after this iteration to `abandoned/`: `resume=auto` takes the newest.

        They are not removed, as somebody trained them.
        """
        found = checkpoints_of(self.folder)
        for path in (path for made, path in found.items() if made > iteration):
            aside = path.parent / "abandoned" / path.name
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)
            log.warning("the run goes on from iteration %d: moved %s to %s", iteration, path, aside)
        if iteration in found:
            link_as_last(found[iteration], self.folder)

    @property
    def rule(self) -> SelectionRule:
        """The rule, with metrics named as the newest validation measured them."""
        return self.asked.named_as(self.rows[-1]["metrics"])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, rank, record, and only then remove what fell out of the ranking."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, Phase)
        row = {
            "iteration": pl_module.iteration,
            "metrics": dict(pl_module.validation),
            "finite": pl_module.is_finite(),
            "validation": pl_module.validation_id,
        }
        self.rows = [r for r in self.rows if r["iteration"] != row["iteration"]] + [row]
        save_iteration(trainer, pl_module, self.folder)
        if trainer.is_global_zero:
            self._keep_best(pl_module.iteration)
        trainer.strategy.barrier()

    def _keep_best(self, iteration: int) -> None:
        """Write the ranking, then remove what fell out of it.

        The newest stays, to resume from, and the newest finite one, to roll back to; and the best
        one by each former validation.
        """
        kept = self._ranked()[: self.top_k]
        if kept:
            self._record(kept)
        needed = {*map(self._path, kept), self.newest_finite, *self._best_of_former()}
        for made, path in checkpoints_of(self.folder).items():
            if made < iteration and path not in needed:
                path.unlink()

    def _ranked(self) -> list[dict[str, Any]]:
        """The comparable validations whose checkpoints exist in this folder, best first."""
        return self._rank(self._comparable(self.rows[-1]["validation"])) if self.rows else []

    def _rank(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of comparable validations whose checkpoints exist, best first."""
        resolved = self.rule.among(row["metrics"] for row in rows)
        present = [row for row in rows if self._path(row).is_file()]
        return sorted(present, key=lambda row: resolved.cost(row["metrics"]))

    def _best_of_former(self) -> list[Path]:
        """The best checkpoint by each validation on other photos, crops or degradations."""
        former = {row["validation"] for row in self.rows} - {self.rows[-1]["validation"]}
        ranked = [self._rank(self._comparable(validation)) for validation in former]
        return [self._path(rows[0]) for rows in ranked if rows]

    def _comparable(self, validation: str) -> list[dict[str, Any]]:
        """The finite rows of a validation that measured the rule's metrics."""
        return [row for row in self.rows if row["validation"] == validation and self._counts(row)]

    def _counts(self, row: Mapping[str, Any]) -> bool:
        """Whether weights, loss and the rule's metrics, which a resume may change, are numbers."""
        values = [row["metrics"].get(name, math.nan) for name in self.rule.names]
        finite = row["finite"] and math.isfinite(row["metrics"]["loss"])
        return finite and not any(map(math.isnan, values))

    def _record(self, kept: list[dict[str, Any]]) -> None:
        """Write `best.json`."""
        rule = self.rule
        rows = self._comparable(kept[0]["validation"])
        resolved = rule.among(row["metrics"] for row in rows)
        write_json(
            self.folder / BEST,
            {
                "checkpoint": self._name(kept[0]),
                "iteration": kept[0]["iteration"],
                "rule": rule.describe(),
                "reaches_minimum": resolved.admits(kept[0]["metrics"]),
                "metrics": kept[0]["metrics"],
                "kept": [{"checkpoint": self._name(row), **row} for row in kept],
                "history": self.rows,
            },
        )

    @staticmethod
    def _name(row: Mapping[str, Any]) -> str:
        """Path of a validation's checkpoint below the run's folder."""
        return checkpoint_name(row["iteration"])

    def _path(self, row: Mapping[str, Any]) -> Path:
        return self.folder / self._name(row)

    def state_dict(self) -> dict[str, Any]:
        """The history, for the ranking of a resumed run."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the history."""
        self.rows = list(state_dict["rows"])

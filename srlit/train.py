"""Train one phase: `python -m srlit.train +experiment=phase1`.

Composes a configuration, wires the parts, runs. Several phases in a row or a sweep:
`python -m srlit.train -m +experiment=phase1,phase2,phase3`.
"""

import copy
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from srlit.config import ConfigError, build, did_you_mean, entry_point, in_multirun, multirun, plain
from srlit.config.starting import (
    checkpoint_to_resume,
    initialise,
    load_for_resume,
    training_of,
    used_weights,
)

if TYPE_CHECKING:
    from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
    from srlit.checkpoint.runs import RunRecord
    from srlit.data.datamodule import PhotoDataModule
    from srlit.losses.composite import CompositeLoss
    from srlit.phases.base import Phase
    from srlit.phases.trainer import Trainer

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float:
    """Train one phase.

    Returns:
        The selected checkpoint's value of the metric that selected it, for sweepers.
    """
    import torch

    from srlit.callbacks.divergence import DivergedError
    from srlit.metrics.ranking import measured_name

    folder = Path(cfg.paths.run)
    resume = checkpoint_to_resume(cfg, folder)
    asked = copy.deepcopy(cfg)  # building parts resolves interpolations where they stand
    torch.manual_seed(cfg.seed)

    data = build_data(cfg)
    trainer = data.trainer = build_trainer(cfg)
    phase = build_phase(cfg, trainer.world_size)
    data.check(phase.metrics.min_size)
    selector = require_selection(trainer, phase)
    phase.validation_id = validation_id(cfg, data, phase)
    record = record_of(cfg, data)
    if resume is None:
        initialise(cfg, phase, record)
    else:
        record.changes = load_for_resume(asked, resume, phase, data)
        trainer.num_sanity_val_steps = 0  # that measures bicubic, once
    # A batch is there even after the last iteration, as a validation may be due.
    data.first_iteration = min(phase.iteration, cfg.iterations - 1)

    with record.kept(folder, writes=trainer.is_global_zero):
        _describe(cfg, folder, trainer, phase, resume)
        trainer.fit(phase, data, ckpt_path=resume, weights_only=True)
        if trainer.is_global_zero and not selector.best_model_path:
            raise DivergedError(
                f"no validation in {folder} gave numbers, so no checkpoint is selected: "
                "metrics.csv shows where the losses stopped being finite"
            )
    trainer.strategy.barrier()  # the next phase of a multirun looks for what was just written

    best = _announce_best(trainer, folder, cfg.name)
    return float(best["metrics"][measured_name(selector.asked.metric, best["metrics"])])


# -- the parts ----------------------------------------------------------------------------------


def build_data(cfg: DictConfig) -> "PhotoDataModule":
    """The datamodule with its degradations."""
    module: PhotoDataModule = build(
        cfg.data,
        degradation=build(cfg.degradation),
        eval_degradation=build(cfg.eval_degradation),
        seed=cfg.seed,
        scale=cfg.scale,
        iterations=cfg.iterations,
        cache_dir=cfg.paths.cache,
        store_dir=cfg.paths.store,
    )
    return module


def build_phase(cfg: DictConfig, processes: int = 1) -> "Phase":
    """The phase with its networks and losses, for so many processes."""
    from srlit.perceptual.backbones import compile_loaded

    phase: Phase = build(
        cfg.phase,
        generator=build(cfg.model),
        loss=build_loss(cfg.loss),
        metrics=build(cfg.metrics),
        iterations=cfg.iterations,
        seed=cfg.seed,
        log_every=cfg.log_every,
        card={
            "model": plain(cfg.model),
            "name": cfg.name,
            "label": cfg.label,
            "scale": cfg.scale,
            "training": training_of(cfg, processes),
        },
    )
    if cfg.compile:
        phase.compile_networks()
        compile_loaded()
    return phase


def build_loss(loss: DictConfig) -> "CompositeLoss":
    """The loss with the terms whose weight can be above 0; the others are not built.

    Raises:
        ConfigError: a weight of a term that is not declared.
    """
    weights = used_weights(loss)
    known = [*map(str, loss.terms), "adversarial"]
    for name in weights:
        if name not in known:
            hint = did_you_mean(name, known, prefix="loss.weights")
            raise ConfigError(f"loss.weights.{name}: no such loss term{hint} ({', '.join(known)})")
    terms = {name: plain(loss.terms[name]) for name in weights if name != "adversarial"}
    composite: CompositeLoss = build({**plain(loss), "weights": weights, "terms": terms})
    return composite


def build_trainer(cfg: DictConfig) -> "Trainer":
    """Lightning's trainer with callbacks, loggers and atomic checkpoints."""
    from srlit.callbacks.preemption import slurm_environment
    from srlit.checkpoint.io import AtomicCheckpointIO

    # It reports every default that srlit's configuration shows anyway, twice.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # But when a process that it started dies, it says so.
    logging.getLogger("lightning.fabric.strategies.launchers").setLevel(logging.INFO)
    trainer: Trainer = build(
        cfg.trainer,
        precision=resolve_precision(str(cfg.trainer.precision), str(cfg.trainer.accelerator)),
        callbacks=[part for part in build(cfg.callbacks).values() if part is not None],
        logger=[part for part in build(cfg.logger).values() if part is not None],
        plugins=[AtomicCheckpointIO(), *slurm_environment()],
        default_root_dir=cfg.paths.run,
    )
    if in_multirun() and trainer.starts_processes:
        raise ConfigError(
            f"trainer.devices={cfg.trainer.devices}: several processes in a multirun (-m) need "
            "torchrun: torchrun --nproc-per-node=N -m srlit.train -m ... trainer.devices=N"
        )
    return trainer


def resolve_precision(precision: str, accelerator: str) -> str:
    """'auto' is bf16-mixed where the hardware computes it natively, 16-mixed on other GPUs."""
    import torch

    if precision != "auto":
        return precision
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    native = torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - torch has no public name
    return "bf16-mixed" if native else "32-true"


def require_selection(trainer: "Trainer", phase: "Phase") -> "LPIPSCheckpoint":
    """The callback that selects and saves checkpoints, by something that is measured.

    Raises:
        ConfigError: no callback does.
        ValueError: the rule asks for what is not measured.
    """
    from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint

    selectors = [part for part in trainer.callbacks if isinstance(part, LPIPSCheckpoint)]  # type: ignore[attr-defined]
    if not selectors:
        raise ConfigError("callbacks.lpips_checkpoint=null: without it nothing would be saved")
    selectors[0].check(phase.metrics)
    return selectors[0]


# -- what a run leaves --------------------------------------------------------------------------


def record_of(cfg: DictConfig, data: "PhotoDataModule") -> "RunRecord":
    """What tells a run from others, and by which later phases find it."""
    from srlit.checkpoint.runs import RunRecord

    identity = {
        "photos": data.photos_digest,
        "seed": cfg.seed,
        "degradation": plain(cfg.degradation),
        "model": plain(cfg.model),
    }
    command = " ".join(sys.argv)
    of_job = multirun.identity() if in_multirun() else {}
    return RunRecord(name=cfg.name, label=cfg.label, command=command, identity=identity, **of_job)


def validation_id(cfg: DictConfig, data: "PhotoDataModule", phase: "Phase") -> str:
    """Names what validations measure, and how; only those of one name are compared."""
    from srlit.metrics.suite import METRICS_VERSION
    from srlit.utils.fingerprint import fingerprint

    degradation = plain(cfg.eval_degradation)
    return fingerprint(data.validation_digest, phase.val_tile, degradation, METRICS_VERSION)


def _describe(
    cfg: DictConfig, folder: Path, trainer: "Trainer", phase: "Phase", resume: Path | None
) -> None:
    """Store the configuration beside the run and in its loggers, which go on where the phase is.

    A checkpoint of elsewhere becomes the run's own, for the next resume.
    """
    from srlit.callbacks.loggers import rewind
    from srlit.checkpoint.runs import checkpoint_name
    from srlit.utils.atomic import link_file, write_text

    if not trainer.is_global_zero:
        return
    own = folder / checkpoint_name(phase.iteration)
    if resume is not None and not own.exists():
        link_file(resume, own)
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    for logger in trainer.loggers:
        rewind(logger, folder, phase)
        logger.log_hyperparams(plain(cfg))


def _announce_best(trainer: "Trainer", folder: Path, name: str) -> dict[str, Any]:
    """Log which checkpoint is selected and what to do with it; returns its entry."""
    from srlit.callbacks.introduction import log_next_commands
    from srlit.checkpoint.runs import read_best

    best = read_best(folder)
    log.info("selected     %s (%s)", folder / best["checkpoint"], best["rule"])
    if not best["reaches_minimum"]:
        log.warning("no checkpoint reaches the minimum and tolerance of callbacks.lpips_checkpoint")
    _log_best(trainer, folder / best["checkpoint"], name)
    if trainer.is_global_zero:
        log_next_commands(folder)
    return best


def _log_best(trainer: "Trainer", checkpoint: Path, name: str) -> None:
    """Give the selected checkpoint to W&B, where it is used, and end its run.

    A run that stays open would take the rows of a sweep's next job too.
    """
    from lightning.pytorch.loggers import WandbLogger

    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and trainer.is_global_zero:
            logger.experiment.log_artifact(str(checkpoint), name=f"{name}-best", type="model")
            logger.experiment.finish()


@entry_point("train")
def main(cfg: DictConfig) -> Any:  # noqa: ANN401 - a sweeper's objective
    """Command line."""
    return train(cfg)


if __name__ == "__main__":
    main()

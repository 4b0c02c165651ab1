"""Train one phase: `python -m srlit.train +experiment=phase1`.

Composes a configuration, wires the parts, runs. Several phases in a row or a sweep:
`python -m srlit.train -m +experiment=phase1,phase2,phase3`.
"""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from srlit.config import ConfigError, build, did_you_mean, entry_point, in_multirun, plain

if TYPE_CHECKING:
    from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
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

    from srlit.checkpoint.runs import RunRecord, read_best
    from srlit.metrics.ranking import measured_name

    folder = Path(cfg.paths.run)
    resume = checkpoint_to_resume(cfg, folder)
    torch.manual_seed(cfg.seed)

    data = build_data(cfg)
    phase = build_phase(cfg)
    data.check(phase.metrics.min_size)
    trainer = data.trainer = build_trainer(cfg)
    selector = require_selection(trainer, phase)
    if resume is None:
        initialise(cfg, phase)
    else:
        load_for_resume(resume, phase, data)
    # A batch is there even after the last iteration, as a validation may be due.
    data.first_iteration = min(phase.iteration, cfg.iterations - 1)

    command = " ".join(sys.argv)
    record = RunRecord(name=cfg.name, label=cfg.label, model=plain(cfg.model), command=command)
    with record.kept(folder, writes=trainer.is_global_zero):
        _describe(cfg, folder, trainer, phase)
        trainer.fit(phase, data, ckpt_path=resume, weights_only=True)
    trainer.strategy.barrier()  # the next phase of a multirun looks for what was just written

    best = read_best(folder)
    log.info("selected %s (%s)", folder / best["checkpoint"], best["rule"])
    if not best["reaches_minimum"]:
        log.warning("no checkpoint reaches the minimum and tolerance of callbacks.lpips_checkpoint")
    _log_best(trainer, folder / best["checkpoint"], cfg.name)
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


def build_phase(cfg: DictConfig) -> "Phase":
    """The phase with its networks and losses."""
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
            "training": {
                "iterations": cfg.iterations,
                "seed": cfg.seed,
                "patch_size": cfg.data.patch_size,
                "batch_size": cfg.data.batch_size,
                "augmentation": plain(cfg.data.augmentation),
                "degradation": plain(cfg.degradation),
                "loss": used_weights(cfg.loss),
                "phase": plain(cfg.phase),
            },
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


def used_weights(loss: DictConfig) -> dict[str, Any]:
    """The weights of a loss table that are not 0, schedules as they are configured."""
    return {name: weight for name, weight in plain(loss.weights).items() if weight != 0}


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


# -- where a run starts from --------------------------------------------------------------------


def checkpoint_to_resume(cfg: DictConfig, folder: Path) -> Path | None:
    """The checkpoint that `resume` names, or none; a used folder is never started afresh.

    Raises:
        ConfigError: the folder holds a run and `resume` names no checkpoint of it.
        CheckpointError: `resume` names no checkpoint.
    """
    from srlit.checkpoint.runs import checkpoints_of, newest_intact, read_record, resolve_checkpoint

    if cfg.resume == "auto":
        if (newest := newest_intact(folder)) is not None:
            return newest
        log.info("resume=auto: no checkpoint in %s yet, starting at iteration 0", folder)
        return None
    named = None if cfg.resume is None else resolve_checkpoint(cfg.resume)
    if named is not None and named.resolve().is_relative_to(folder.resolve()):
        return named
    record = read_record(folder)
    if checkpoints_of(folder) or (record and record.status == "finished"):
        raise ConfigError(
            f"{folder} already holds a run: add resume=auto to go on with it, "
            "name=ANOTHER to start beside it, or remove the folder"
        )
    return named


def load_for_resume(resume: Path, phase: "Phase", data: "PhotoDataModule") -> None:
    """See that a checkpoint belongs to this training, and set the clock to it; Lightning loads it.

    Raises:
        CheckpointError: the checkpoint was made by another training; every difference is named.
        ValueError: the training photos, or the number of processes, changed.
    """
    from srlit.checkpoint import CheckpointError, load_checkpoint
    from srlit.checkpoint.messages import card_differences
    from srlit.checkpoint.sections import RESUMED

    checkpoint = load_checkpoint(resume)
    if missing := [key for key in RESUMED if key not in checkpoint]:
        raise CheckpointError(
            f"resume={resume} lacks {', '.join(missing)}: it is of another version of srlit, or no "
            "training's. To start a new training from its generator, use init_from instead"
        )
    differences = [
        line
        for key in ("model", "training")
        for line in card_differences(checkpoint["card"].get(key), phase.card[key], key)
    ]
    if differences:
        raise CheckpointError(
            f"resume={resume} goes on with another training: {'; '.join(differences)}. "
            "To start a new training from its generator, use init_from instead"
        )
    if (photos := checkpoint.get(type(data).__qualname__)) is None:
        msg = f"resume={resume} does not say which photos it was trained on; use init_from instead"
        raise CheckpointError(msg)
    data.load_state_dict(photos)
    phase.iteration, phase.validated = checkpoint["iteration"], checkpoint["validated"]
    log.info("resuming from %s at iteration %d", resume, phase.iteration)


def initialise(cfg: DictConfig, phase: "Phase") -> None:
    """Start the generator from `init_from`: its weights only.

    Raises:
        CheckpointError: the checkpoint does not fit the generator.
        ConfigError: `init_from=auto` finds nothing to start from.
    """
    from srlit.checkpoint import CheckpointError, load_weights, resolve_checkpoint
    from srlit.checkpoint.messages import card_differences
    from srlit.models.load import load_into

    if cfg.init_from is None:
        return
    source = _follows(cfg) if cfg.init_from == "auto" else resolve_checkpoint(cfg.init_from)
    weights, card = load_weights(source)
    try:
        load_into(phase.generator, weights, f"init_from={source}")
    except CheckpointError as error:
        if card and (lines := card_differences(card["model"], phase.card["model"], "model")):
            raise CheckpointError(f"init_from={source} does not fit: {'; '.join(lines)}") from error
        raise
    log.info("generator starts from %s", source)


def _follows(cfg: DictConfig) -> Path:
    """The selected checkpoint of the newest finished run of the phase before."""
    from srlit.checkpoint.runs import find_previous, resolve_checkpoint

    if cfg.previous_phase is None:
        raise ConfigError("init_from=auto needs `previous_phase`, the label of the phase before")
    runs = Path(cfg.paths.runs)
    found = find_previous(runs, cfg.previous_phase, plain(cfg.model))
    if found is None:
        raise ConfigError(
            f"init_from=auto: no finished run labelled {cfg.previous_phase!r} with this generator "
            f"below {runs}. Train it first: +experiment={cfg.previous_phase} (with the "
            "same model), or name a checkpoint: init_from=PATH, or start afresh: init_from=null"
        )
    return resolve_checkpoint(str(found))


# -- what a run leaves --------------------------------------------------------------------------


def _describe(cfg: DictConfig, folder: Path, trainer: "Trainer", phase: "Phase") -> None:
    """Store the configuration beside the run and in its loggers, which go on where the phase is."""
    from srlit.callbacks.loggers import rewind
    from srlit.utils.atomic import write_text

    if not trainer.is_global_zero:
        return
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    for logger in trainer.loggers:
        rewind(logger, folder, phase.iteration, phase.validated)
        logger.log_hyperparams(plain(cfg))


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

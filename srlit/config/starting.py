"""Where a training starts: afresh, from other weights, or from a checkpoint of its own."""

import copy
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from srlit.config import multirun
from srlit.config.build import as_list, plain
from srlit.config.check import ConfigError
from srlit.config.multirun import in_multirun

if TYPE_CHECKING:
    from srlit.checkpoint.runs import RunRecord
    from srlit.data.datamodule import PhotoDataModule
    from srlit.phases.base import Phase

log = logging.getLogger(__name__)

# Differences in these make new learning rates and schedules.
OPTIMIZERS = (
    "phase.optimizer",
    "phase.generator_optimizer",
    "phase.discriminator_optimizer",
    "phase.schedule",
)


def training_of(cfg: DictConfig, processes: int = 1) -> dict[str, Any]:
    """What makes a training the one it is, under the names of the configuration's keys.

    Its batch is that of all processes together: their number makes no other training.
    """
    return {
        "iterations": cfg.iterations,
        "seed": cfg.seed,
        "data": {
            "patch_size": cfg.data.patch_size,
            "batch_size": cfg.data.batch_size * processes,
            "augmentation": plain(cfg.data.augmentation),
        },
        "degradation": plain(cfg.degradation),
        "loss": {"weights": used_weights(cfg.loss)},
        "phase": plain(cfg.phase),
    }


def used_weights(loss: DictConfig) -> dict[str, Any]:
    """The weights of a loss table that are not 0, schedules as they are configured."""
    return {name: weight for name, weight in plain(loss.weights).items() if weight != 0}


# -- from a checkpoint of its own -----------------------------------------------------------------


def checkpoint_to_resume(cfg: DictConfig, folder: Path) -> Path | None:
    """The checkpoint that `resume` names, or none; a used folder is never started afresh.

    Raises:
        ConfigError: the folder holds a run and `resume` names no checkpoint of it.
        CheckpointError: `resume` names no checkpoint.
    """
    from srlit.checkpoint.runs import holds_run, newest_intact, resolve_checkpoint

    if cfg.resume == "auto":
        if (newest := newest_intact(folder)) is not None:
            return newest
        log.info("resume=auto: no checkpoint in %s yet, starting at iteration 0", folder)
        return None
    named = None if cfg.resume is None else resolve_checkpoint(cfg.resume)
    if named is not None and named.resolve().is_relative_to(folder.resolve()):
        return named
    if holds_run(folder):
        raise ConfigError(
            f"{folder} already holds a run: add resume=auto to go on with it, "
            "name=ANOTHER to start beside it, or remove the folder"
        )
    return named


def load_for_resume(
    cfg: DictConfig, resume: Path, phase: "Phase", data: "PhotoDataModule"
) -> list[dict[str, Any]]:
    """See that a checkpoint belongs to this training, and set the clock to it; Lightning loads it.

    Returns:
        The changes that `resume_changes` allows, those of earlier resumes first.

    Raises:
        CheckpointError: the checkpoint was made by another training; every difference is named.
    """
    from srlit.checkpoint import CheckpointError, load_checkpoint
    from srlit.checkpoint.loading import check_finite, network_weights
    from srlit.checkpoint.messages import differences, in_words
    from srlit.checkpoint.sections import RESUMED

    checkpoint = load_checkpoint(resume)
    if missing := [key for key in RESUMED if key not in checkpoint]:
        raise CheckpointError(
            f"resume={resume} lacks {', '.join(missing)}: it is of another version of srlit, or no "
            "training's. To start a new training from its generator, use init_from instead"
        )
    check_finite(resume, network_weights(checkpoint))
    card, now = checkpoint["card"], phase.card["training"]
    before = card.get("training", {})
    found = differences(before, now) | photo_differences(checkpoint, data)
    allowed = {key: values for key, values in found.items() if is_listed(cfg, key)}
    models = differences(card["model"], phase.card["model"], "model")
    following = implied(cfg, before, allowed)
    if refused := models | {k: v for k, v in found.items() if k not in following}:
        keys = ",".join(refused)
        raise CheckpointError(
            f"resume={resume} goes on with another training: {'; '.join(in_words(refused))}. "
            + ("" if models else f"To change them from here on, add resume_changes=[{keys}]. ")
            + "To start a new training from its generator, use init_from instead"
        )
    phase.iteration, phase.validated = checkpoint["iteration"], checkpoint["validated"]
    phase.rows_written = checkpoint["rows_written"]
    phase.renews_optimizers = any(key.startswith(OPTIMIZERS) for key in found)
    changes = [
        {"iteration": phase.iteration, "key": key, "before": a, "now": b}
        for key, (a, b) in allowed.items()
    ]
    for change in changes:
        log.warning("from iteration %(iteration)d on: %(key)s %(before)s -> %(now)s", change)
    log.info("resuming from %s at iteration %d", resume, phase.iteration)
    phase.card["changes"] = [*card.get("changes", []), *changes]
    return list(phase.card["changes"])


def photo_differences(
    checkpoint: Mapping[str, Any], data: "PhotoDataModule"
) -> dict[str, tuple[object, object]]:
    """`data.photos` with both numbers of training photos, where they or their order changed."""
    before, now = checkpoint.get(type(data).__qualname__), data.state_dict()
    if before == now:
        return {}
    numbers = [
        f"{state['photos']} training photos" if state else "unknown" for state in (before, now)
    ]
    return {"data.photos": (numbers[0], f"{numbers[1]}, or others, or in another order")}


def is_listed(cfg: DictConfig, key: str) -> bool:
    """Whether `resume_changes` allows a key to differ, by its name or that of a part above it."""
    listed = as_list(cfg.resume_changes)
    return "any" in listed or any(f"{key}.".startswith(f"{name}.") for name in listed)


def implied(
    cfg: DictConfig, before: Mapping[str, Any], allowed: Mapping[str, tuple[object, object]]
) -> set[str]:
    """The allowed keys, and those that differ only because they follow one of these.

    With the former values of the allowed keys a following one, such as the length of a schedule
    that is `${iterations}`, has its former value too.
    """
    from srlit.checkpoint.messages import differences

    former = copy.deepcopy(cfg)
    OmegaConf.set_struct(former, value=False)
    for key, (value, _) in allowed.items():
        if key not in {"data.photos", "data.batch_size"}:
            OmegaConf.update(former, key, value, force_add=True)
    still = differences(before, training_of(former)).keys()
    return {*allowed, *(differences(before, training_of(cfg)).keys() - still)}


# -- from other weights ---------------------------------------------------------------------------


def initialise(cfg: DictConfig, phase: "Phase", record: "RunRecord") -> None:
    """Start the networks from `init_from` and `init_discriminator`: their weights only.

    Raises:
        CheckpointError: a checkpoint does not fit its network.
        ConfigError: `init_from=auto` finds nothing, or several runs, to start from, or there is no
            discriminator.
    """
    from srlit.checkpoint import CheckpointError, load_weights, resolve_checkpoint
    from srlit.checkpoint.messages import differences, in_words
    from srlit.models.load import load_into, load_what_fits, misfit
    from srlit.phases.adversarial import AdversarialPhase

    load = load_what_fits if cfg.init_partial else load_into
    if cfg.init_from is not None:
        source = (
            _parent(cfg, record) if cfg.init_from == "auto" else resolve_checkpoint(cfg.init_from)
        )
        weights, card = load_weights(source, partial(misfit, phase.generator))
        try:
            load(phase.generator, weights, f"init_from={source}")
        except CheckpointError as error:
            if card and (found := differences(card["model"], phase.card["model"], "model")):
                reason = "; ".join(in_words(found))
                raise CheckpointError(f"init_from={source} does not fit: {reason}") from error
            raise
        log.info("generator starts from %s", source)
    if cfg.init_discriminator is not None:
        if not isinstance(phase, AdversarialPhase):
            raise ConfigError(f"init_discriminator={cfg.init_discriminator}: this phase has none")
        source = resolve_checkpoint(cfg.init_discriminator)
        weights, _ = load_weights(source, partial(misfit, phase.discriminator), "discriminator")
        load(phase.discriminator, weights, f"init_discriminator={source}")
        log.info("discriminator starts from %s", source)


def _parent(cfg: DictConfig, record: "RunRecord") -> Path:
    """The selected checkpoint of the run of the phase before.

    Raises:
        ConfigError: there are several.
        CheckpointError: there is none.
    """
    from srlit.checkpoint.runs import find_previous, resolve_checkpoint

    if cfg.previous_phase is None:
        raise ConfigError("init_from=auto needs `previous_phase`, the label of the phase before")
    if failed := in_multirun() and multirun.failed_sibling():
        raise ConfigError(f"skipped: {failed}, the phase before, failed")
    found = find_previous(Path(cfg.paths.runs), cfg.previous_phase, record)
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise ConfigError(f"init_from=auto: several runs fit: {listed}; name one: init_from=PATH")
    return resolve_checkpoint(str(found[0]))

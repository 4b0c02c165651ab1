"""Measure checkpoints: `python -m srlit.evaluate 'checkpoints=[runs/phase3]'`.

All methods on one or several data sets under one or several degradations: tables (console,
Markdown, LaTeX, JSON) with a test against a reference, 95 % confidence intervals, one row per
photo, comparison images, and the draws of the degradation (`draws.json`, for `replay`). Results
are cached in the folder: an interrupted evaluation continues where it stopped. A photo that
cannot be read or restored is reported and the others are measured; the exit code is 3 where such
photos are more than `data.max_invalid_fraction`.
"""

import copy
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from srlit.config import ConfigError, build, entry_point, load_trained, plain, rebuild_stored
from srlit.config.build import as_list, stored_config
from srlit.config.composing import composed
from srlit.config.entry import SomeFailed, choice, typed_keys

if TYPE_CHECKING:
    from srlit.evaluation.methods import Interpolation
    from srlit.evaluation.tables import Row
    from srlit.evaluation.task import Task
    from srlit.inference.upscalers import Upscaler
    from srlit.metrics.suite import MetricSuite

    Methods = Sequence[Upscaler]

log = logging.getLogger(__name__)

# Settings of `data` that hold for every set of `data_sets` where the command line gives them.
SHARED = ("eval_crop", "eval_batch_size", "eval_seed")


def evaluate(cfg: DictConfig) -> "list[Row]":
    """Measure every method on every data set and write the results.

    Returns:
        One row per data set and method: the protocol, its name, and the mean of each metric.

    Raises:
        SomeFailed: too many photos could not be used; all others are measured.
    """
    from srlit.checkpoint.runs import own_folder
    from srlit.evaluation.figures import read_figures
    from srlit.evaluation.methods import choose_reference
    from srlit.evaluation.summary import write_overview
    from srlit.utils.atomic import remove_torn

    metrics: MetricSuite = build(cfg.metrics)
    methods, between = build_methods(cfg)
    reference = choose_reference(cfg.reference, methods)
    tasks = list(build_tasks(cfg, methods, metrics))
    figures = read_figures(plain(cfg.figures), methods)
    check(cfg, tasks, metrics)
    warn_of_training_photos(cfg, tasks)
    folder, replay = Path(cfg.paths.run), Path(cfg.replay) if cfg.replay else None
    remove_torn(folder)
    summaries = []
    with own_folder(folder):
        for task in tasks:
            task.use_folder(folder, alone=len(tasks) == 1)
            summaries.append(task.tables(reference, images=cfg.images, replay=replay))
            if between is not None:
                rows = task.interpolation(between, summaries[-1].results.means)
                if cfg.save_best is not None:
                    rule = {"metric": cfg.metric, "tolerance": plain(cfg.tolerance)}
                    between.save_best(rows, Path(cfg.save_best), **rule)
            if cfg.grid is not None:
                task.robustness(plain(cfg.grid), metrics.reported_name(cfg.metric))
            task.figures(figures)
        if len(summaries) > 1:
            write_overview(folder, summaries)
    report_unusable(cfg, tasks)
    return [row for summary in summaries for row in summary.rows()]


def report_unusable(cfg: DictConfig, tasks: "Sequence[Task]") -> None:
    """Name the photos that could not be used.

    Raises:
        SomeFailed: they are more than `data.max_invalid_fraction`.
    """
    from srlit.data.audit import too_many

    failed = dict(chain.from_iterable(task.rejected for task in tasks))
    if not failed:
        return
    photos = {photo.path for task in tasks for photo in task.photos.photos}
    reasons = [r if str(path) in r else f"{path}: {r}" for path, r in failed.items()]
    message = "\n  ".join([f"{len(failed)} photos could not be used:", *reasons])
    if too_many(len(failed), len(photos | {*failed}), cfg.data.max_invalid_fraction):
        raise SomeFailed(message)
    log.warning("%s", message)


# -- methods ------------------------------------------------------------------------------------


def build_methods(cfg: DictConfig) -> "tuple[list[Upscaler], Interpolation | None]":
    """Baselines, checkpoints, interpolations and soups; the interpolation also by itself.

    Raises:
        ValueError: a network has another scale.
        CheckpointError: a checkpoint is missing or does not fit.
    """
    from srlit.evaluation import methods
    from srlit.inference.upscalers import Interpolator, pick_device

    load, model = partial(load_trained, cfg=cfg), plain(cfg.get("model"))
    sizes = {key: cfg[key] for key in ("scale", "tile", "overlap")}
    device = pick_device(cfg.device)
    loader = methods.NetworkLoader(load=load, device=device, model=model, **sizes)
    found: list[Upscaler] = [Interpolator(name, scale=cfg.scale) for name in cfg.baselines]
    found += methods.trained_networks(loader, as_list(cfg.checkpoints), plain(cfg.names))
    between = None
    if cfg.interpolate is not None:
        between = methods.Interpolation(loader, plain(cfg.interpolate), plain(cfg.alphas))
        found += between.networks()
    found += [methods.soup(loader, Path(run).expanduser()) for run in as_list(cfg.soup)]
    return found, between


# -- data ---------------------------------------------------------------------------------------


def build_tasks(cfg: DictConfig, methods: "Methods", metrics: "MetricSuite") -> "Iterator[Task]":
    """Every set of `data_sets` under every one of `degradations`; without them the chosen ones.

    Raises:
        ConfigError: there is none of that name.
        FileNotFoundError: the photos are not there.
    """
    from srlit.data.evaluation_data import EvaluationData
    from srlit.evaluation.results_cache import ResultsCache
    from srlit.evaluation.summary import Protocol
    from srlit.evaluation.task import Task
    from srlit.inference.upscalers import pick_device
    from srlit.utils.fingerprint import fingerprint

    folders = {"cache_dir": cfg.paths.cache, "store_dir": cfg.paths.store}
    # Photos that cannot be used are reported at the end.
    data_of = partial(EvaluationData, scale=cfg.scale, max_invalid_fraction=1.0, **folders)
    made = partial(Task, methods=methods, metrics=metrics, device=pick_device(cfg.device))
    for name, data in _choices(cfg, "data", "data_sets"):
        for _, preset in _choices(cfg, "degradation", "degradations"):
            found = data_of(photos=build(data.photos), **{key: data[key] for key in SHARED})
            photos = found.evaluation_photos(cfg.split, metrics.min_size)
            degradation = build(preset)
            real = all(photo.lr is not None for photo in photos.photos)
            own = {m.name: m.tile for m in methods if m.tile not in (None, cfg.tile)}
            how = {"scale": cfg.scale, "crop": found.eval_crop, "tile": cfg.tile, "own_tiles": own}
            protocol = Protocol(name, "real" if real else degradation.name, cfg.split, **how)
            cache = ResultsCache(context=fingerprint(plain(preset), cfg.scale))
            yield made(photos, degradation, cache=cache, protocol=protocol, rejected=found.rejected)
            if real:
                break  # nothing is degraded: once is enough


def _choices(cfg: DictConfig, group: str, key: str) -> Iterator[tuple[str, DictConfig]]:
    """The files of a group that a key names; without names what was composed."""
    if cfg[key] is None:
        yield choice(group, str(cfg[group].get("name", "photos"))), cfg[group]
    shared = _given(cfg) if group == "data" and cfg[key] else {}
    for name in cfg[key] or ():
        # In a copy, so that ${paths.data} and ${scale} find the user's own values.
        root = copy.deepcopy(cfg)
        root[group] = OmegaConf.merge(composed("evaluate", group, name)[group], shared)
        yield name, root[group]


def _given(cfg: DictConfig) -> dict[str, Any]:
    """What the command line or an experiment says of `data`, instead of the chosen set itself."""
    own = composed("evaluate", "data", choice("data", "sample")).data
    typed = typed_keys()
    changed = [k for k in SHARED if f"data.{k}" in typed or cfg.data[k] != own.get(k)]
    return {key: cfg.data[key] for key in changed}


def check(cfg: DictConfig, tasks: "Sequence[Task]", metrics: "MetricSuite") -> None:
    """Find contradictions before hours are spent.

    Raises:
        ConfigError: real pairs are to be degraded, figures to be replayed, the best to be chosen by
            test photos, or a metric that decides is not measured.
        DrawsError: the degradation does not draw the grid's parameters.
    """
    from srlit.evaluation.robustness import check_grid

    real = [task.protocol.data for task in tasks if task.protocol.degradation == "real"]
    for key in ("grid", "replay"):
        if cfg[key] is not None and real:
            raise ConfigError(f"{key}={cfg[key]}: {', '.join(real)} real pairs are not degraded")
    if cfg.figures is not None and cfg.replay is not None:
        raise ConfigError(f"replay={cfg.replay}: a figure draws anew; expected figures=null")
    if cfg.save_best is not None and (cfg.interpolate is None or cfg.split != "val"):
        raise ConfigError(
            f"save_best={cfg.save_best}: expected interpolate=[A,B] and split=val, as a network "
            "chosen by test photos cannot be tested on them"
        )
    for task in tasks if cfg.grid is not None else ():
        check_grid(plain(cfg.grid), task.degradation)
    needed = [cfg.metric] if cfg.grid is not None or cfg.save_best is not None else []
    needed += cfg.tolerance if cfg.save_best is not None else []
    if missing := {metrics.reported_name(name) for name in needed} - set(metrics.names):
        msg = f"metric, tolerance: {sorted(missing)} not in metrics.names={metrics.names}"
        raise ConfigError(msg)


def warn_of_training_photos(cfg: DictConfig, tasks: "Sequence[Task]") -> None:
    """Warn where a checkpoint was trained on photos of a data set that it is measured on."""
    from srlit.checkpoint import resolve_checkpoint

    for name in as_list(cfg.checkpoints):
        seen = training_photos(resolve_checkpoint(name).resolve().parents[1], cfg)
        for task in tasks:
            photos = [photo.path for photo in task.photos.photos]
            if known := [path for path in photos if path.resolve() in seen]:
                log.warning(
                    "%s was trained on %d of the %d photos of %s, such as %s: its results there "
                    "do not apply to new photos",
                    *(name, len(known), len(photos), task.protocol.data, known[0]),
                )


def training_photos(run: Path, cfg: DictConfig) -> set[Path]:
    """The photos that a run was trained on, by its `config.yaml`; none where it does not tell."""
    try:
        sets = rebuild_stored(stored_config(run)["data"]["photos"], str(run / "config.yaml"), cfg)
        return {path.resolve() for path in sets.split("train")}
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.debug("%s: its training photos are unknown: %s", run, error)
        return set()


main = entry_point("evaluate")(evaluate)


if __name__ == "__main__":
    main()

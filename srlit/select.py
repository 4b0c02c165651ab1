"""Rank all checkpoints of a run after the fact: `python -m srlit.select run=runs/phase3`.

Every checkpoint is measured anew on the run's validation photos under its evaluation degradation,
and ranked by the run's own rule unless another is given; test photos are not used. Several runs
(`run=[runs/a,runs/b]`) are ranked together if they have the same validation data. Writes
`selection.json`, and `selection.png`: the rule's metrics over the iterations.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from srlit.config import ConfigError, build, entry_point, load_trained, plain, rebuild_stored
from srlit.config.build import as_list, stored_config
from srlit.config.entry import SomeFailed

if TYPE_CHECKING:
    from srlit.data.datasets import EvaluationPhotos
    from srlit.degradation.pipeline import Degradation
    from srlit.evaluation.measure import Results
    from srlit.evaluation.summary import Protocol
    from srlit.evaluation.tables import Row
    from srlit.metrics.ranking import SelectionRule
    from srlit.metrics.suite import MetricSuite

log = logging.getLogger(__name__)

# Settings of a run's data that its validation depends on.
VALIDATION = ("eval_seed", "eval_crop", "eval_batch_size", "max_invalid_fraction")


def select(cfg: DictConfig) -> "list[Row]":
    """Measure, rank and record.

    Returns:
        One row per checkpoint, best first: name, run, iteration and metrics.

    Raises:
        SomeFailed: some photos could not be used; the checkpoints are ranked by all others.
    """
    from srlit.evaluation.plots import plot_selection
    from srlit.evaluation.tables import print_table
    from srlit.utils.atomic import write_json

    runs = [Path(run) for run in as_list(cfg.run)]
    folder = runs[0] if len(runs) == 1 else Path(cfg.paths.run)
    metrics: MetricSuite = build(cfg.metrics)
    rule = chosen_rule(cfg, runs[0], metrics)
    rows, protocol, results = measure_checkpoints(cfg, runs, metrics, folder)
    past = [row for run in runs for row in history(run, rule)]
    resolved = rule.among([*rows, *past])
    ranked = sorted(rows, key=resolved.cost)
    images = len(results.photos) // len(rows)
    title = f"{', '.join(map(str, runs))}: {rule.describe()}, on {protocol.describe(images)}"
    print_table(title, [{key: row[key] for key in row if key != "run"} for row in ranked])
    reached = resolved.admits(ranked[0])
    record = {"rule": rule.describe(), "reaches_minimum": reached, **protocol.labels(images)}
    write_json(folder / "selection.json", {**record, "ranked": ranked})
    plot_selection(folder / "selection.png", resolved, ranked, past)
    best = Path(ranked[0]["run"]) / "checkpoints" / Path(ranked[0]["name"]).name
    log.info("best: %s%s", best, "" if reached else ", though below the minimum")
    if failed := [reason for _, reason in results.unreadable]:
        raise SomeFailed("\n  ".join([f"{len(failed)} photos could not be used:", *failed]))
    return ranked


def measure_checkpoints(
    cfg: DictConfig, runs: Sequence[Path], metrics: "MetricSuite", folder: Path
) -> "tuple[list[Row], Protocol, Results]":
    """One row per checkpoint of the runs: name, run, iteration and metrics.

    Returns:
        The rows, what they were measured on, and all that was measured.

    Raises:
        ConfigError: a run has no checkpoint.
    """
    from srlit.checkpoint.runs import checkpoints_of
    from srlit.evaluation.measure import Measurement
    from srlit.evaluation.methods import NetworkLoader
    from srlit.evaluation.results_cache import ResultsCache
    from srlit.evaluation.summary import Protocol
    from srlit.inference.upscalers import pick_device
    from srlit.ops.tiling import usual_overlap

    load, device = partial(load_trained, cfg=cfg), pick_device(cfg.device)
    found, networks = [], []
    for run in runs:
        tile = stored_config(run)["phase"].get("val_tile")  # as the run was validated
        sizes = {"tile": tile, "overlap": usual_overlap(tile)}
        loader = NetworkLoader(load=load, device=device, model=plain(cfg.get("model")), **sizes)
        if not (paths := checkpoints_of(run)):
            raise ConfigError(f"run={run}: no checkpoint in {run / 'checkpoints'}")
        prefix = "" if isinstance(cfg.run, str) else f"{run}/"
        found += [{"run": str(run), "iteration": iteration} for iteration in paths]
        networks += [loader.upscaler(f"{prefix}{path.name}", [path]) for path in paths.values()]
    photos, degradation, same = validation_data(cfg, runs, metrics)
    protocol = Protocol.of_run(stored_config(runs[0]))
    cache = ResultsCache(folder / "measured.jsonl", same)
    measurement = Measurement(photos, degradation, networks, metrics, device=device, cache=cache)
    results = measurement.results()
    each = zip(found, results.means, strict=True)
    return [{"name": m["name"], **where, **m} for where, m in each], protocol, results


def validation_data(
    cfg: DictConfig, runs: Sequence[Path], metrics: "MetricSuite"
) -> "tuple[EvaluationPhotos, Degradation, str]":
    """The validation photos and evaluation degradation of all runs, from their `config.yaml`.

    Returns:
        Photos, degradation, and a fingerprint that differs between different validation data.

    Raises:
        ConfigError: there is no configuration, or the runs differ.
        CheckpointError: it names classes that are not trusted.
    """
    from srlit.data.evaluation_data import EvaluationData
    from srlit.utils.fingerprint import fingerprint

    folders, found = {"cache_dir": cfg.paths.cache, "store_dir": cfg.paths.store}, []
    for run in runs:
        stored, where = stored_config(run), str(run / "config.yaml")
        settings = {key: stored["data"][key] for key in VALIDATION if key in stored["data"]}
        sets = rebuild_stored(stored["data"]["photos"], where, cfg)
        data = EvaluationData(photos=sets, scale=stored["scale"], **folders, **settings)
        photos = data.evaluation_photos("val", metrics.min_size)
        pixels = [(photo.digest, photo.lr and photo.lr.digest) for photo in photos.photos]
        same = fingerprint(stored["eval_degradation"], stored["scale"], settings, pixels)
        found.append((photos, rebuild_stored(stored["eval_degradation"], where, cfg), same))
        if same != found[0][2]:
            raise ConfigError(
                f"run: {run} was validated on other photos, crops or degradations than {runs[0]}: "
                "rank them separately, or use srlit.evaluate"
            )
    return found[0]


def chosen_rule(cfg: DictConfig, run: Path, metrics: "MetricSuite") -> "SelectionRule":
    """The rule of the command line, completed by the run's own.

    Raises:
        ConfigError: it needs a metric that is not measured.
    """
    from srlit.metrics.ranking import SelectionRule

    own = stored_config(run)["callbacks"]["lpips_checkpoint"]
    given = {key: plain(cfg[key]) for key in ("metric", "minimum", "tolerance")}
    chosen = {key: own.get(key) if value is None else value for key, value in given.items()}
    rule = SelectionRule(**chosen | {"metric": chosen["metric"] or "lpips_alex"})
    rule = rule.where_measured(metrics.names).named_as(metrics.names)
    if missing := rule.names - set(metrics.names):
        msg = f"metric, minimum: {sorted(missing)} not in metrics.names={metrics.names}"
        raise ConfigError(msg)
    return rule


def history(run: Path, rule: "SelectionRule") -> "list[Row]":
    """The run's validations that measured the rule's metrics, those of deleted checkpoints too."""
    from srlit.checkpoint import CheckpointError
    from srlit.checkpoint.runs import BEST, read_best

    try:
        best = read_best(run, "history") if (run / BEST).is_file() else {}
    except CheckpointError as error:
        log.warning("%s; only the checkpoints of the folder are ranked", error)
        best = {}
    return [
        {"run": str(run), "iteration": row["iteration"]} | row["metrics"]
        for row in best.get("history", ())
        if rule.names <= row["metrics"].keys()
    ]


main = entry_point("select")(select)


if __name__ == "__main__":
    main()

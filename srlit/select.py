"""Rank all checkpoints of a run after the fact: `python -m srlit.select run=runs/phase3`.

Every checkpoint is measured anew on the photos that the run validated on, under the same
degradation, and ranked by the run's own rule unless another is given; test photos play no part.
Several runs (`run=[runs/a,runs/b]`) are ranked together where they validated on the same. Writes
`selection.json`, and `selection.png`: what decides, over the iterations.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from srlit.config import ConfigError, build, build_known, entry_point, load_generator, plain

if TYPE_CHECKING:
    from srlit.data import EvaluationPhotos
    from srlit.degradation import Degradation
    from srlit.evaluation import Row
    from srlit.inference import NetworkUpscaler
    from srlit.metrics.ranking import SelectionRule
    from srlit.metrics.suite import MetricSuite

log = logging.getLogger(__name__)

# What of a run's data says on what it was validated.
JUDGED = ("eval_seed", "eval_crop", "eval_batch_size", "max_invalid_fraction")


def select(cfg: DictConfig) -> "list[Row]":
    """Measure, rank and record.

    Returns:
        A row a checkpoint, best first: name, run, iteration and metrics.
    """
    from srlit.evaluation import ResultsCache, measure, print_table
    from srlit.inference import pick_device
    from srlit.utils.atomic import write_json

    folders = [Path(run) for run in ([cfg.run] if isinstance(cfg.run, str) else cfg.run)]
    metrics: MetricSuite = build(cfg.metrics)
    rule = chosen_rule(cfg, folders[0], metrics)
    candidates = [found for folder in folders for found in candidates_of(cfg, folder)]
    validation = common_validation(cfg, folders, metrics)
    where = folders[0] if len(folders) == 1 else Path(cfg.paths.run)
    found = measure(
        [candidate.network for candidate in candidates],
        validation.photos,
        validation.degradation,
        metrics,
        pick_device(cfg.device),
        ledger=ResultsCache(where / "measured.jsonl", validation.fingerprint),
    )
    measured = [
        {"name": mean["name"], "run": str(candidate.run), "iteration": candidate.iteration} | mean
        for candidate, mean in zip(candidates, found.means, strict=True)
    ]
    past = [row for folder in folders for row in history(folder, rule)]
    resolved = rule.among([*measured, *past])
    ranked = sorted(measured, key=resolved.cost)
    shown = [{key: row[key] for key in row if key != "run"} for row in ranked]
    title = f"{', '.join(map(str, folders))}: {rule.describe()}, on the validation photos"
    print_table(title, shown)
    write_json(
        where / "selection.json",
        {
            "rule": rule.describe(),
            "photos": "validation",
            "reaches_minimum": resolved.admits(ranked[0]),
            "ranked": ranked,
        },
    )
    plot(where / "selection.png", resolved, ranked, past)
    best = Path(ranked[0]["run"]) / "checkpoints" / Path(ranked[0]["name"]).name
    log.info("best: %s%s", best, "" if resolved.admits(ranked[0]) else ", though below the minimum")
    return ranked


def chosen_rule(cfg: DictConfig, run: Path, metrics: "MetricSuite") -> "SelectionRule":
    """The rule of the command line, and for what it leaves open that of the run.

    Raises:
        ConfigError: it asks for what is not measured.
    """
    from srlit.metrics.ranking import SelectionRule

    own = stored_config(run)["callbacks"]["lpips_checkpoint"]
    rule = SelectionRule(
        metric=cfg.metric or own.get("metric", "lpips_alex"),
        minimum=plain(cfg.minimum) if cfg.minimum is not None else own.get("minimum"),
        tolerance=plain(cfg.tolerance) if cfg.tolerance is not None else own.get("tolerance"),
    )
    rule = rule.where_measured(metrics.names).named_as(metrics.names)
    if missing := rule.names - set(metrics.names):
        msg = f"metric or minimum name {sorted(missing)}, but metrics.names has {metrics.names}"
        raise ConfigError(msg)
    return rule


def stored_config(run: Path) -> dict[str, Any]:
    """The configuration of a run, as plain values.

    Raises:
        ConfigError: there is none.
    """
    path = run / "config.yaml"
    if not path.is_file():
        msg = f"run={run}: no config.yaml: expected the folder of a run of srlit.train"
        raise ConfigError(msg)
    stored: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path), resolve=False)  # type: ignore[assignment]
    return stored


# -- what is ranked -----------------------------------------------------------------------------


class Candidate(NamedTuple):
    """A checkpoint.

    Attributes:
        run: its run's folder.
        iteration: when it was saved.
        network: what it restores with.
    """

    run: Path
    iteration: int
    network: "NetworkUpscaler"


def candidates_of(cfg: DictConfig, run: Path) -> list[Candidate]:
    """Every checkpoint of a run.

    Raises:
        ConfigError: the run has none.
    """
    from srlit.checkpoint.manifest import digest_of
    from srlit.checkpoint.runs import checkpoints_of
    from srlit.inference import NetworkUpscaler, pick_device
    from srlit.utils.fingerprint import fingerprint

    paths = checkpoints_of(run)
    if not paths:
        msg = f"run={run}: no checkpoint in {run / 'checkpoints'}"
        raise ConfigError(msg)
    return [
        Candidate(
            run,
            iteration,
            NetworkUpscaler(
                path.name if isinstance(cfg.run, str) else f"{run}/{path.name}",
                load_generator(path, cfg.get("model"))[0],
                device=pick_device(cfg.device),
                source=fingerprint(digest_of(path), plain(cfg.get("model"))),
            ),
        )
        for iteration, path in paths.items()
    ]


def history(run: Path, rule: "SelectionRule") -> "list[Row]":
    """What the run measured at its validations, also of checkpoints that are gone."""
    from srlit.checkpoint import CheckpointError
    from srlit.checkpoint.runs import read_best

    try:
        rows = read_best(run)["history"]
    except (CheckpointError, KeyError):
        return []
    found: list[Row] = [
        {"run": str(run), "iteration": row["iteration"]} | row["metrics"] for row in rows
    ]
    return [row for row in found if rule.names <= row.keys()]


# -- on what ------------------------------------------------------------------------------------


class Validation(NamedTuple):
    """What a run was validated on.

    Attributes:
        photos: the photos.
        degradation: what they go through.
        fingerprint: tells it from other validations.
    """

    photos: "EvaluationPhotos"
    degradation: "Degradation"
    fingerprint: str


def common_validation(cfg: DictConfig, runs: Sequence[Path], metrics: "MetricSuite") -> Validation:
    """What all the runs were validated on.

    Raises:
        ConfigError: they were not validated on the same.
    """
    found = {run: validation_of(cfg, run, metrics) for run in runs}
    first = next(iter(found.values()))
    for run, validation in found.items():
        if validation.fingerprint != first.fingerprint:
            msg = (
                f"run: {run} was validated on other photos, crops or degradations than {runs[0]}, "
                "so their numbers do not compare: rank them apart, or use srlit.evaluate"
            )
            raise ConfigError(msg)
    return first


def validation_of(cfg: DictConfig, run: Path, metrics: "MetricSuite") -> Validation:
    """A run's own photos and evaluation degradation, rebuilt from its `config.yaml`.

    Raises:
        ConfigError: no configuration there, or one that names foreign classes.
    """
    from srlit.data import EvaluationData
    from srlit.utils.fingerprint import fingerprint

    stored, where = stored_config(run), str(run / "config.yaml")
    judged = {key: stored["data"][key] for key in JUDGED if key in stored["data"]}
    data: EvaluationData = EvaluationData(
        photos=build_known(stored["data"]["photos"], where),
        scale=stored["scale"],
        cache_dir=cfg.paths.cache,
        store_dir=cfg.paths.store,
        **judged,
    )
    photos = data.evaluation_photos("val", metrics.min_size)
    pixels = [(photo.digest, photo.lr and photo.lr.digest) for photo in photos.photos]
    same = fingerprint(stored["eval_degradation"], stored["scale"], judged, pixels)
    return Validation(photos, build_known(stored["eval_degradation"], where), same)


# -- the picture --------------------------------------------------------------------------------


def plot(
    path: Path, resolved: "SelectionRule", ranked: "Sequence[Row]", past: "Sequence[Row]"
) -> None:
    """Each metric of the rule over the iterations: a line a run, a ring around the best."""
    from matplotlib.figure import Figure

    from srlit.utils.atomic import atomic_file

    names = [resolved.metric, *resolved.minimum]
    figure = Figure(figsize=(8, 3 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        for run in sorted({row["run"] for row in ranked}):
            line = sorted((r["iteration"], r[name]) for r in past if r["run"] == run)
            dots = sorted((r["iteration"], r[name]) for r in ranked if r["run"] == run)
            [drawn] = axes.plot(*zip(*(line or dots), strict=True), alpha=0.4)
            axes.plot(*zip(*dots, strict=True), "o", color=drawn.get_color(), label=Path(run).name)
        axes.plot(
            ranked[0]["iteration"], ranked[0][name], "o", mfc="none", mec="black", ms=12, mew=1.5
        )
        if name in resolved.minimum:
            axes.axhline(resolved.minimum[name], color="black", lw=1, ls="--")
            axes.annotate(
                "minimum",
                (1, resolved.minimum[name]),
                xycoords=("axes fraction", "data"),
                ha="right",
            )
        axes.set(ylabel=name, xlabel="iteration")
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.axes[0].set_title("validation photos; dots: checkpoints at hand; ring: the best")
    with atomic_file(path) as sibling:
        figure.savefig(sibling, dpi=120)


@entry_point("select")
def main(cfg: DictConfig) -> None:
    """Command line."""
    select(cfg)


if __name__ == "__main__":
    main()

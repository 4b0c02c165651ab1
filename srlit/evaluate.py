"""Measure checkpoints: `python -m srlit.evaluate 'checkpoints=[runs/phase3]'`.

All methods on one or several data sets under one or several degradations: tables (console,
Markdown, LaTeX, JSON) with a test against a reference, 95 % confidence intervals, a row a photo,
comparison pictures, and what was drawn for each photo (`draws.json`, for `replay`). What was
measured before in the same folder is not measured again: an evaluation that was stopped goes on.
A photo that cannot be read is reported, the others are done, and the exit code is 1.
"""

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from srlit.config import ConfigError, build, build_known, entry_point, plain
from srlit.config.composing import composed
from srlit.config.entry import choice
from srlit.config.figures import Figure, figures_of
from srlit.config.methods import (
    checkpoints_of,
    chosen_reference,
    methods_of,
    names_between,
    save_blend,
)

if TYPE_CHECKING:
    from srlit.data import EvaluationData, EvaluationPhotos
    from srlit.degradation import Degradation
    from srlit.evaluation import Measured, Row, Summary
    from srlit.inference import Upscaler
    from srlit.metrics.suite import MetricSuite

log = logging.getLogger(__name__)

MEASURED = "measured.jsonl"
# What one sets for all data sets at once.
SHARED = ("eval_crop", "eval_batch_size", "eval_seed")


def evaluate(cfg: DictConfig) -> "list[Row]":
    """Measure every method on every photo of every set and write the results.

    Returns:
        A row a set and method: data, degradation, name, and the mean of each metric.

    Raises:
        SystemExit: some photos could not be used; all others are done.
    """
    from srlit.checkpoint.runs import own_folder
    from srlit.evaluation import Summary

    folder = Path(cfg.paths.run)
    metrics: MetricSuite = build(cfg.metrics)
    methods = methods_of(cfg)
    reference = chosen_reference(cfg, [method.name for method in methods])
    work = list(tasks(cfg, metrics))
    figures = figures_of(plain(cfg.figures), methods)
    check(cfg, work, metrics)
    warn_of_known_photos(cfg, work)
    found: list[Summary] = []
    rejected: list[tuple[Path, str]] = []
    with own_folder(folder):
        for task in work:
            place = folder if len(work) == 1 else folder / task.name
            results = measured(cfg, task, methods, metrics, place)
            found.append(Summary(task.data, task.degraded, cfg.split, results, reference))
            write_results(place, found[-1])
            rejected += [*task.rejected, *results.unreadable]
            if cfg.interpolate is not None:
                write_interpolation(cfg, place, results.means)
            if cfg.grid is not None:
                map_robustness(cfg, task, methods, metrics, place)
            draw_figures(cfg, task, methods, figures, place)
        if len(found) > 1:
            write_overview(folder, found)
    if rejected:
        message = "\n".join(f"  {path}: {reason}" for path, reason in rejected)
        raise SystemExit(f"{len(rejected)} photos could not be used:\n{message}")
    return [row for summary in found for row in summary.rows()]


def check(cfg: DictConfig, work: "list[Task]", metrics: "MetricSuite") -> None:
    """Find what cannot be done before hours are spent on the rest.

    Raises:
        ConfigError: `save_best` asks for a choice by test photos, metrics lack what decides, what
            comes degraded is to be degraded, or figures are to follow what was drawn for others.
        DrawsError: the grid is none of the degradation's parameters.
    """
    from srlit.evaluation.robustness import check_grid

    for key in ("grid", "replay"):
        if cfg[key] is not None and (real := [t.data for t in work if t.degraded == "real"]):
            msg = f"{key}={cfg[key]}: {', '.join(real)} holds real pairs, which nothing degrades"
            raise ConfigError(msg)
    if cfg.figures is not None and cfg.replay is not None:
        msg = f"replay={cfg.replay} follows what was measured: give it without figures"
        raise ConfigError(msg)
    if cfg.grid is not None:
        for task in work:
            check_grid(plain(cfg.grid), task.degradation)
    if cfg.save_best is not None and (cfg.interpolate is None or cfg.split != "val"):
        msg = (
            f"save_best={cfg.save_best}: expected interpolate=[A,B] and split=val: a network that "
            "was chosen by test photos cannot be tested on them"
        )
        raise ConfigError(msg)
    decides = [cfg.metric] if cfg.grid is not None else []
    decides += [cfg.metric, *cfg.tolerance] if cfg.save_best is not None else []
    if missing := {metrics.reported_name(name) for name in decides} - set(metrics.names):
        msg = f"metric or tolerance names {sorted(missing)}, but metrics.names has {metrics.names}"
        raise ConfigError(msg)


class Task(NamedTuple):
    """A data set under a degradation.

    Attributes:
        data: name of the set's file in conf/data.
        degraded: name of the degradation; 'real' where LR images came with the photos.
        photos: what is measured on.
        degradation: what they go through.
        config: of the degradation, as plain values.
        rejected: photos that cannot be used, each with the reason.
    """

    data: str
    degraded: str
    photos: "EvaluationPhotos"
    degradation: "Degradation"
    config: object
    rejected: list[tuple[Path, str]]

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{self.data}_{self.degraded}"


def tasks(cfg: DictConfig, metrics: "MetricSuite") -> "Iterator[Task]":
    """Every set of `data_sets` under every one of `degradations`; the chosen ones without them.

    Raises:
        ConfigError: there is none of that name.
        FileNotFoundError: the photos are not there.
    """
    for data_name, data in _choices(cfg, "data", cfg.data_sets):
        for _, preset in _choices(cfg, "degradation", cfg.degradations):
            judged = evaluation_data(cfg, data)
            photos = judged.evaluation_photos(cfg.split, metrics.min_size)
            degradation: Degradation = build(preset)
            real = all(photo.lr is not None for photo in photos.photos)
            degraded = "real" if real else degradation.name
            yield Task(data_name, degraded, photos, degradation, plain(preset), judged.rejected)
            if real:
                break  # nothing is degraded: once is enough


def _choices(
    cfg: DictConfig, group: str, names: list[str] | None
) -> Iterator[tuple[str, DictConfig]]:
    """The named files of a group; without names what was composed."""
    if names is None:
        yield choice(group, str(cfg[group].get("name", "photos"))), cfg[group]
    for name in names or ():
        shared = {key: cfg.data[key] for key in SHARED} if group == "data" else {}
        # In a copy, so that ${paths.data} and ${scale} find the user's own values.
        root = copy.deepcopy(cfg)
        root[group] = OmegaConf.merge(composed("evaluate", group, name)[group], shared)
        yield name, root[group]


def evaluation_data(cfg: DictConfig, data: DictConfig) -> "EvaluationData":
    """The photos of a set; unusable ones are reported at the end, however many."""
    from srlit.data import EvaluationData

    return EvaluationData(
        photos=build(data.photos),
        scale=cfg.scale,
        eval_seed=data.eval_seed,
        eval_crop=data.eval_crop,
        eval_batch_size=data.eval_batch_size,
        max_invalid_fraction=1.0,
        cache_dir=cfg.paths.cache,
        store_dir=cfg.paths.store,
    )


def warn_of_known_photos(cfg: DictConfig, work: list[Task]) -> None:
    """Tell where a checkpoint was trained on photos that it is about to be judged by."""
    from srlit.checkpoint import resolve_checkpoint

    for name in checkpoints_of(cfg):
        seen = photos_of_training(resolve_checkpoint(name).resolve().parents[1])
        for task in work:
            known = [photo.path for photo in task.photos.photos if photo.path.resolve() in seen]
            if known:
                log.warning(
                    "%s was trained on %d of the %d photos of %s, such as %s: its numbers "
                    "there say nothing about new photos",
                    name,
                    len(known),
                    len(task.photos.photos),
                    task.data,
                    known[0],
                )


def photos_of_training(run: Path) -> set[Path]:
    """The photos that a run was trained on, as its `config.yaml` tells; none where it cannot."""
    try:
        stored: Any = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"), resolve=False)
        sets = build_known(stored["data"]["photos"], str(run / "config.yaml"))
        return {path.resolve() for path in sets.train()}
    except (OSError, ValueError, LookupError, TypeError, YAMLError) as error:
        log.debug("%s: its training photos are unknown: %s", run, error)
        return set()


def measured(
    cfg: DictConfig, task: Task, methods: "list[Upscaler]", metrics: "MetricSuite", place: Path
) -> "Measured":
    """Measure all methods on a set; keep what was drawn and measured, and the pictures."""
    from srlit.evaluation import Pictures, RecordedDraws, ResultsCache, measure
    from srlit.inference import pick_device
    from srlit.utils.fingerprint import fingerprint

    book = RecordedDraws(task.degradation, Path(cfg.replay) if cfg.replay else None)
    log.info("%s: %d photos, %d methods", task.name, len(task.photos.photos), len(methods))
    found = measure(
        methods,
        task.photos,
        task.degradation,
        metrics,
        pick_device(cfg.device),
        pictures=Pictures(place / "images", cfg.images),
        book=book,
        ledger=ResultsCache(place / MEASURED, fingerprint(task.config, cfg.scale)),
    )
    if book.photos:
        book.write(place / "draws.json")
    return found


def map_robustness(
    cfg: DictConfig,
    task: Task,
    methods: "list[Upscaler]",
    metrics: "MetricSuite",
    place: Path,
) -> None:
    """Measure every cell of the grid; `robustness.json` and a picture a map."""
    from srlit.evaluation import RecordedDraws, ResultsCache, measure
    from srlit.evaluation.plots import plot_maps
    from srlit.evaluation.robustness import maps_of, settings_of
    from srlit.inference import pick_device
    from srlit.utils.atomic import write_json
    from srlit.utils.fingerprint import fingerprint

    grid, metric = plain(cfg.grid), metrics.reported_name(cfg.metric)
    ledger = ResultsCache(place / MEASURED, fingerprint(task.config, cfg.scale))
    means = {}
    cells = list(settings_of(grid))
    for number, setting in enumerate(cells, 1):
        log.info("cell %d of %d: %s", number, len(cells), setting)
        found = measure(
            methods,
            task.photos,
            task.degradation,
            metrics,
            pick_device(cfg.device),
            book=RecordedDraws(task.degradation, setting=setting),
            ledger=ledger,
        )
        means[tuple(setting.values())] = {row["name"]: row[metric] for row in found.means}
    maps = maps_of(grid, metric, [method.name for method in methods], means)
    write_json(place / "robustness.json", [each.as_json() for each in maps])
    for number, each in enumerate(maps):
        name = "robustness.png" if len(maps) == 1 else f"robustness_{number}.png"
        title = ", ".join(filter(None, [task.name, each.title()]))
        plot_maps(place / name, title, each.axes, each.metric, each.models)
    for each in maps:
        for line in each.worst():
            log.info(line)


def draw_figures(
    cfg: DictConfig,
    task: Task,
    methods: "list[Upscaler]",
    figures: list[Figure],
    place: Path,
) -> None:
    """The pictures that `figures` asks for, a folder each."""
    from srlit.evaluation import Pictures, ResultsCache, draw_figure
    from srlit.inference import pick_device
    from srlit.utils.fingerprint import fingerprint

    ledger = ResultsCache(place / MEASURED, fingerprint(task.config, cfg.scale))
    for figure in figures:
        crop = None if figure.whole else task.photos.crop
        pictures = Pictures(place / "figures" / figure.name, figure.photos)
        draw_figure(
            figure.columns(methods),
            task.photos.first(figure.photos, crop=crop),
            task.degradation,
            pick_device(cfg.device),
            pictures,
            ledger,
        )
        log.info("figure %s: %s", figure.name, pictures.folder)


# -- writing ------------------------------------------------------------------------------------


def write_results(place: Path, summary: "Summary") -> None:
    """The table for people and programs, how sure it is, and a row a photo."""
    import csv

    from srlit.evaluation import print_table
    from srlit.utils.atomic import atomic_file, write_json, write_text

    write_json(place / "table.json", summary.rows())
    write_json(place / "statistics.json", summary.statistics)
    write_text(place / "table.md", summary.markdown())
    write_text(place / "table.tex", summary.latex())
    photos = summary.photo_rows()
    with atomic_file(place / "photos.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(photos[0]))
        writer.writeheader()
        writer.writerows(photos)
    print_table(summary.title, summary.measured.means, summary.significant)
    log.info("%s", summary.note)
    log.info("written to %s", place)


def write_overview(folder: Path, found: "list[Summary]") -> None:
    """The tables of all sets together, above the folders of each."""
    from srlit.utils.atomic import write_json, write_text

    write_json(folder / "tables.json", [row for summary in found for row in summary.rows()])
    write_text(folder / "tables.md", "\n".join(summary.markdown() for summary in found))
    write_text(folder / "tables.tex", "\n".join(summary.latex() for summary in found))
    log.info("all of them: %s", folder / "tables.md")


def write_interpolation(cfg: DictConfig, place: Path, means: "list[Row]") -> None:
    """`interpolation.json`, the curve of distortion and perception, and the best point if asked."""
    from srlit.evaluation.plots import plot_tradeoff
    from srlit.metrics.ranking import SelectionRule
    from srlit.utils.atomic import write_json

    names = names_between(cfg)
    rows = [row | {"weight": names[row["name"]]} for row in means if row["name"] in names]
    metrics = [name for name in means[0] if name != "name"]
    points = [
        {"weight": row["weight"], "metrics": {name: row[name] for name in metrics}} for row in rows
    ]
    write_json(place / "interpolation.json", points)
    psnr, lpips = (next((n for n in metrics if n.startswith(k)), None) for k in ("psnr", "lpips"))
    if psnr and lpips:
        shown = [row | {"name": f"{row['weight']:g}"} for row in rows]
        plot_tradeoff(place / "interpolation.png", shown, psnr, lpips, line=True)
    if cfg.save_best is not None:
        rule = SelectionRule(metric=cfg.metric, tolerance=plain(cfg.tolerance)).named_as(metrics)
        best = rule.rank(rows)[0]
        save_blend(cfg, best["weight"], Path(cfg.save_best))
        log.info("%s: %s (%s)", cfg.save_best, best["name"], rule.describe())


@entry_point("evaluate")
def main(cfg: DictConfig) -> None:
    """Command line."""
    evaluate(cfg)


if __name__ == "__main__":
    main()

"""Measure checkpoints: `python -m srlit.evaluate 'checkpoints=[runs/phase3]'`.

All methods on one or several data sets under one or several degradations: tables (console,
Markdown, LaTeX, JSON) with a test against a reference, 95 % confidence intervals, one row per
photo, comparison images, and the draws of the degradation (`draws.json`, for `replay`). Results
are cached in the folder: an interrupted evaluation continues where it stopped. A photo that cannot
be read is reported, the others are measured, and the exit code is 1.
"""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig, OmegaConf

from srlit.config import ConfigError, build, entry_point, load_trained, plain, rebuild_stored
from srlit.config.build import as_list, stored_config
from srlit.config.composing import composed
from srlit.config.entry import choice

if TYPE_CHECKING:
    from srlit.data.datasets import EvaluationPhotos
    from srlit.degradation.pipeline import Degradation
    from srlit.evaluation.figures import Figure
    from srlit.evaluation.measure import Measurement
    from srlit.evaluation.methods import NetworkLoader
    from srlit.evaluation.summary import Summary
    from srlit.evaluation.tables import Row
    from srlit.inference.upscalers import Upscaler
    from srlit.metrics.suite import MetricSuite

log = logging.getLogger(__name__)

# Settings of `data` that hold for every set of `data_sets`.
SHARED = ("eval_crop", "eval_batch_size", "eval_seed")


def evaluate(cfg: DictConfig) -> "list[Row]":
    """Measure every method on every data set and write the results.

    Returns:
        One row per data set and method: data, degradation, name, and the mean of each metric.

    Raises:
        SystemExit: some photos could not be used; all others are measured.
    """
    from srlit.checkpoint.runs import own_folder
    from srlit.evaluation.figures import read_figures
    from srlit.evaluation.methods import choose_reference
    from srlit.evaluation.summary import write_overview

    metrics: MetricSuite = build(cfg.metrics)
    loader = network_loader(cfg)
    methods = build_methods(cfg, loader)
    reference = choose_reference(cfg.reference, methods)
    tasks = list(build_tasks(cfg, metrics))
    figures = read_figures(plain(cfg.figures), methods)
    check(cfg, tasks, metrics)
    warn_of_training_photos(cfg, tasks)
    folder = Path(cfg.paths.run)
    summaries: list[Summary] = []
    with own_folder(folder):
        for task in tasks:
            place = folder if len(tasks) == 1 else folder / f"{task.data}_{task.degraded}"
            run = TaskEvaluation(cfg, task, methods, metrics, place)
            summaries.append(run.tables(reference))
            if cfg.interpolate is not None:
                write_interpolation(cfg, loader, place, summaries[-1].results.means)
            if cfg.grid is not None:
                run.robustness(plain(cfg.grid))
            run.figures(figures)
        if len(summaries) > 1:
            write_overview(folder, summaries)
    reports = [task.rejected for task in tasks] + [one.results.unreadable for one in summaries]
    if rejected := [f"  {path}: {reason}" for report in reports for path, reason in report]:
        raise SystemExit("\n".join([f"{len(rejected)} photos could not be used:", *rejected]))
    return [row for summary in summaries for row in summary.rows()]


# -- methods ------------------------------------------------------------------------------------


def network_loader(cfg: DictConfig) -> "NetworkLoader":
    """Loads checkpoints as the configuration asks."""
    from srlit.evaluation.methods import NetworkLoader
    from srlit.inference.upscalers import pick_device

    load, model = partial(load_trained, cfg=cfg), plain(cfg.get("model"))
    sizes = {key: cfg[key] for key in ("scale", "tile", "overlap")}
    return NetworkLoader(load=load, device=pick_device(cfg.device), model=model, **sizes)


def build_methods(cfg: DictConfig, loader: "NetworkLoader") -> "list[Upscaler]":
    """Baselines, checkpoints, interpolations and soups.

    Raises:
        ValueError: there are none, two have the same name, or a network has another scale.
        CheckpointError: a checkpoint is missing or does not fit.
    """
    from srlit.evaluation import methods
    from srlit.inference.upscalers import Interpolator

    found: list[Upscaler] = [Interpolator(name, scale=cfg.scale) for name in cfg.baselines]
    found += methods.trained_networks(loader, as_list(cfg.checkpoints), plain(cfg.names))
    if cfg.interpolate is not None:
        found += methods.interpolated_networks(loader, plain(cfg.interpolate), plain(cfg.alphas))
    found += [methods.soup(loader, Path(run).expanduser()) for run in as_list(cfg.soup)]
    methods.check_names(found)
    return found


# -- data ---------------------------------------------------------------------------------------


class Task(NamedTuple):
    """A data set under a degradation.

    Attributes:
        data: name of the data set.
        degraded: name of the degradation; 'real' where LR images come with the photos.
        photos: what is measured on.
        degradation: how LR images are made.
        config: of the degradation, as plain values.
        rejected: photos that cannot be used, each with the reason.
    """

    data: str
    degraded: str
    photos: "EvaluationPhotos"
    degradation: "Degradation"
    config: object
    rejected: list[tuple[Path, str]]


def build_tasks(cfg: DictConfig, metrics: "MetricSuite") -> Iterator[Task]:
    """Every set of `data_sets` under every one of `degradations`; without them the chosen ones.

    Raises:
        ConfigError: there is none of that name.
        FileNotFoundError: the photos are not there.
    """
    from srlit.data.evaluation_data import EvaluationData

    for name, data in _choices(cfg, "data", "data_sets"):
        for _, preset in _choices(cfg, "degradation", "degradations"):
            source = EvaluationData(
                photos=build(data.photos),
                scale=cfg.scale,
                max_invalid_fraction=1.0,  # they are reported at the end
                cache_dir=cfg.paths.cache,
                store_dir=cfg.paths.store,
                **{key: data[key] for key in SHARED},
            )
            photos = source.evaluation_photos(cfg.split, metrics.min_size)
            degradation: Degradation = build(preset)
            real = all(photo.lr is not None for photo in photos.photos)
            degraded = "real" if real else degradation.name
            yield Task(name, degraded, photos, degradation, plain(preset), source.rejected)
            if real:
                break  # nothing is degraded: once is enough


def _choices(cfg: DictConfig, group: str, key: str) -> Iterator[tuple[str, DictConfig]]:
    """The files of a group that a key names; without names what was composed."""
    if cfg[key] is None:
        yield choice(group, str(cfg[group].get("name", "photos"))), cfg[group]
    for name in cfg[key] or ():
        shared = {key: cfg.data[key] for key in SHARED} if group == "data" else {}
        # In a copy, so that ${paths.data} and ${scale} find the user's own values.
        root = copy.deepcopy(cfg)
        root[group] = OmegaConf.merge(composed("evaluate", group, name)[group], shared)
        yield name, root[group]


def check(cfg: DictConfig, tasks: Sequence[Task], metrics: "MetricSuite") -> None:
    """Find contradictions before hours are spent.

    Raises:
        ConfigError: real pairs are to be degraded, figures to be replayed, the best to be chosen by
            test photos, or a metric that decides is not measured.
        DrawsError: the degradation does not draw the grid's parameters.
    """
    from srlit.evaluation.robustness import check_grid

    real = [task.data for task in tasks if task.degraded == "real"]
    for key in ("grid", "replay"):
        if cfg[key] is not None and real:
            msg = f"{key}={cfg[key]}: {', '.join(real)} holds real pairs, which are not degraded"
            raise ConfigError(msg)
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
        msg = f"metric or tolerance needs {sorted(missing)}, but metrics.names={metrics.names}"
        raise ConfigError(msg)


def warn_of_training_photos(cfg: DictConfig, tasks: Sequence[Task]) -> None:
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
                    *(name, len(known), len(photos), task.data, known[0]),
                )


def training_photos(run: Path, cfg: DictConfig) -> set[Path]:
    """The photos that a run was trained on, by its `config.yaml`; none where it does not tell."""
    try:
        sets = rebuild_stored(stored_config(run)["data"]["photos"], str(run / "config.yaml"), cfg)
        return {path.resolve() for path in sets.split("train")}
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.debug("%s: its training photos are unknown: %s", run, error)
        return set()


# -- measuring ----------------------------------------------------------------------------------


@dataclass(eq=False)
class TaskEvaluation:
    """Measures methods on one task; what was measured before comes from a cache in the folder.

    Args:
        cfg: the configuration.
        task: the data set and its degradation.
        methods: what is measured.
        metrics: by what.
        folder: where the results go.
    """

    cfg: DictConfig
    task: Task
    methods: "Sequence[Upscaler]"
    metrics: "MetricSuite"
    folder: Path

    @cached_property
    def base(self) -> "Measurement":
        """Measures without images, with this task's degradation and cache."""
        from srlit.evaluation.measure import Measurement
        from srlit.evaluation.results_cache import ResultsCache
        from srlit.inference.upscalers import pick_device
        from srlit.utils.fingerprint import fingerprint

        same = fingerprint(self.task.config, self.cfg.scale)
        return Measurement(
            methods=self.methods,
            photos=self.task.photos,
            degradation=self.task.degradation,
            metrics=self.metrics,
            device=pick_device(self.cfg.device),
            cache=ResultsCache(self.folder / "measured.jsonl", same),
        )

    def tables(self, reference: str) -> "Summary":
        """Measure all methods; write tables, comparison images and draws."""
        from srlit.evaluation.comparison_images import ComparisonImages
        from srlit.evaluation.draws_file import RecordedDraws
        from srlit.evaluation.summary import Summary, write_results

        cfg, task = self.cfg, self.task
        log.info("%s: %d photos", self.folder.name, len(task.photos.photos))
        draws = RecordedDraws(task.degradation, Path(cfg.replay) if cfg.replay else None)
        images = ComparisonImages(self.folder / "images", cfg.images)
        results = replace(self.base, images=images, draws=draws).results()
        draws.write(self.folder / "draws.json")
        summary = Summary(task.data, task.degraded, cfg.split, results, reference)
        write_results(self.folder, summary)
        return summary

    def robustness(self, grid: Mapping[str, Sequence[float]]) -> None:
        """Measure every cell of a grid; `robustness.json` and one plot per map."""
        from srlit.evaluation.draws_file import RecordedDraws
        from srlit.evaluation.plots import write_maps
        from srlit.evaluation.robustness import grid_settings, robustness_maps

        metric = self.metrics.reported_name(self.cfg.metric)
        settings, means = grid_settings(grid), []
        for number, setting in enumerate(settings, 1):
            log.info("cell %d of %d: %s", number, len(settings), setting)
            draws = RecordedDraws(self.task.degradation, setting=setting)
            results = replace(self.base, draws=draws).results()
            means.append({row["name"]: row[metric] for row in results.means})
        title = f"{self.task.data} {self.task.degraded}"
        write_maps(self.folder, title, robustness_maps(grid, metric, means))

    def figures(self, figures: "Mapping[str, Figure]") -> None:
        """Draw the comparison images of figures; existing ones are kept."""
        from srlit.evaluation.comparison_images import ComparisonImages
        from srlit.metrics.suite import MetricSuite

        drawing = replace(self.base, metrics=MetricSuite(names=[]))
        for name, figure in figures.items():
            photos = self.task.photos
            photos = photos.first(figure.photos, crop=None if figure.whole else photos.crop)
            images = ComparisonImages(self.folder / "figures" / name, figure.photos)
            columns = figure.columns(self.methods)
            replace(drawing, methods=columns, photos=photos, images=images).results()
            log.info("figure: %s", images.folder)


def write_interpolation(
    cfg: DictConfig, loader: "NetworkLoader", folder: Path, means: "Sequence[Row]"
) -> None:
    """`interpolation.json`, the perception-distortion curve, and the best network if asked for."""
    from srlit.evaluation.methods import interpolation_names, save_interpolated
    from srlit.evaluation.plots import plot_tradeoff
    from srlit.metrics.ranking import SelectionRule
    from srlit.utils.atomic import write_json

    pair = plain(cfg.interpolate)
    alphas = interpolation_names(pair, plain(cfg.alphas))
    rows = [row for row in means if row["name"] in alphas]
    points = [
        {"weight": alphas[row["name"]], "metrics": {k: v for k, v in row.items() if k != "name"}}
        for row in rows
    ]
    write_json(folder / "interpolation.json", points)
    shown = [row | {"name": f"{alphas[row['name']]:g}"} for row in rows]
    plot_tradeoff(folder / "interpolation.png", shown, line=True)
    if cfg.save_best is not None:
        rule = SelectionRule(metric=cfg.metric, tolerance=plain(cfg.tolerance)).named_as(rows[0])
        best = rule.rank(rows)[0]["name"]
        save_interpolated(loader, pair, alphas[best], Path(cfg.save_best))
        log.info("%s: %s (%s)", cfg.save_best, best, rule.describe())


main = entry_point("evaluate")(evaluate)


if __name__ == "__main__":
    main()

"""Measure checkpoints: `python -m srlit.evaluate 'checkpoints=[runs/phase3]'`.

All methods on one or several data sets under one or several degradations: tables (console,
Markdown, LaTeX, JSON) with a test against a reference, 95 % confidence intervals, one row per
photo, comparison images, and the draws of the degradation (`draws.json`, for `replay`). Results
are cached in the folder: an interrupted evaluation continues where it stopped. A photo that cannot
be read is reported, the others are measured, and the exit code is 1.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from srlit.config import ConfigError, build, build_known, entry_point, load_generator, plain
from srlit.config.composing import composed
from srlit.config.entry import choice

if TYPE_CHECKING:
    from srlit.data import EvaluationData, EvaluationPhotos
    from srlit.degradation.pipeline import Degradation
    from srlit.evaluation.figures import Figure
    from srlit.evaluation.measure import Results
    from srlit.evaluation.methods import NetworkLoader
    from srlit.evaluation.summary import Summary
    from srlit.evaluation.tables import Row
    from srlit.inference.upscalers import Upscaler
    from srlit.metrics.suite import MetricSuite

log = logging.getLogger(__name__)

CACHE = "measured.jsonl"
# Settings of `data` that hold for every set of `data_sets`.
SHARED = ("eval_crop", "eval_batch_size", "eval_seed")


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

    folder = Path(cfg.paths.run)
    metrics: MetricSuite = build(cfg.metrics)
    loader = network_loader(cfg)
    methods = build_methods(cfg, loader)
    reference = choose_reference(cfg.reference, methods)
    tasks = list(build_tasks(cfg, metrics))
    figures = read_figures(plain(cfg.figures), methods)
    check(cfg, tasks, metrics)
    warn_of_training_photos(checkpoint_names(cfg), tasks)
    summaries: list[Summary] = []
    with own_folder(folder):
        for task in tasks:
            place = folder if len(tasks) == 1 else folder / f"{task.data}_{task.degraded}"
            run = task_runner(cfg, task, metrics, place)
            summaries.append(measure_task(cfg, task, run, methods, place, reference))
            if cfg.interpolate is not None:
                write_interpolation(cfg, loader, place, summaries[-1].results.means)
            if cfg.grid is not None:
                map_robustness(cfg, task, run, methods, metrics.reported_name(cfg.metric), place)
            for name, figure in figures.items():
                draw_figure(figure, task, run, methods, place / "figures" / name)
        if len(summaries) > 1:
            write_overview(folder, summaries)
    exit_if_rejected(tasks, summaries)
    return [row for summary in summaries for row in summary.rows()]


def exit_if_rejected(tasks: "Sequence[Task]", summaries: "Sequence[Summary]") -> None:
    """Raise SystemExit with a list of the photos that could not be used, if there are any."""
    rejected = [entry for task in tasks for entry in task.rejected]
    rejected += [entry for summary in summaries for entry in summary.results.unreadable]
    if rejected:
        message = "\n".join(f"  {path}: {reason}" for path, reason in rejected)
        raise SystemExit(f"{len(rejected)} photos could not be used:\n{message}")


# -- methods ------------------------------------------------------------------------------------


def network_loader(cfg: DictConfig) -> "NetworkLoader":
    """Loads checkpoints as the configuration asks."""
    from srlit.evaluation.methods import NetworkLoader
    from srlit.inference.upscalers import pick_device

    return NetworkLoader(
        partial(load_generator, model=cfg.get("model")),
        device=pick_device(cfg.device),
        scale=cfg.scale,
        tile=cfg.tile,
        overlap=cfg.overlap,
        model=plain(cfg.get("model")),
    )


def build_methods(cfg: DictConfig, loader: "NetworkLoader") -> "list[Upscaler]":
    """Baselines, checkpoints, interpolations and soups.

    Raises:
        ValueError: there are none, two have the same name, or a network has another scale.
        CheckpointError: a checkpoint is missing or does not fit.
    """
    from srlit.evaluation import methods as known
    from srlit.inference.upscalers import Interpolator

    found: list[Upscaler] = [Interpolator(name, scale=cfg.scale) for name in cfg.baselines]
    found += known.trained_networks(loader, checkpoint_names(cfg), plain(cfg.names))
    if cfg.interpolate is not None:
        found += known.interpolated_networks(loader, plain(cfg.interpolate), plain(cfg.alphas))
    found += [known.soup(loader, Path(run).expanduser()) for run in as_list(cfg.soup)]
    known.check_names(found)
    return found


def checkpoint_names(cfg: DictConfig) -> list[str]:
    """The checkpoints to be measured."""
    return as_list(cfg.checkpoints)


def as_list(value: Any) -> list[str]:  # noqa: ANN401 - of a configuration
    """Names; a single one needs no brackets, null is none."""
    return [value] if isinstance(value, str) else list(value or ())


# -- data ---------------------------------------------------------------------------------------


def build_tasks(cfg: DictConfig, metrics: "MetricSuite") -> Iterator[Task]:
    """Every set of `data_sets` under every one of `degradations`; without them the chosen ones.

    Raises:
        ConfigError: there is none of that name.
        FileNotFoundError: the photos are not there.
    """
    for data_name, data in _choices(cfg, "data", cfg.data_sets):
        for _, preset in _choices(cfg, "degradation", cfg.degradations):
            source = evaluation_data(cfg, data)
            photos = source.evaluation_photos(cfg.split, metrics.min_size)
            degradation: Degradation = build(preset)
            real = all(photo.lr is not None for photo in photos.photos)
            degraded = "real" if real else degradation.name
            yield Task(data_name, degraded, photos, degradation, plain(preset), source.rejected)
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
    """The photos of a data set; unusable ones are reported at the end, however many."""
    from srlit.data import EvaluationData

    return EvaluationData(
        photos=build(data.photos),
        scale=cfg.scale,
        max_invalid_fraction=1.0,
        cache_dir=cfg.paths.cache,
        store_dir=cfg.paths.store,
        **{key: data[key] for key in SHARED},
    )


def check(cfg: DictConfig, tasks: Sequence[Task], metrics: "MetricSuite") -> None:
    """Find contradictions before hours are spent.

    Raises:
        ConfigError: real pairs are to be degraded, figures to be replayed, the best to be chosen by
            test photos, or a metric that decides is not measured.
        DrawsError: the degradation does not draw the grid's parameters.
    """
    from srlit.evaluation.robustness import check_grid

    for key in ("grid", "replay"):
        if cfg[key] is not None and (real := [t.data for t in tasks if t.degraded == "real"]):
            msg = f"{key}={cfg[key]}: {', '.join(real)} holds real pairs, which are not degraded"
            raise ConfigError(msg)
    if cfg.figures is not None and cfg.replay is not None:
        msg = f"replay={cfg.replay}: a figure draws anew; expected figures=null"
        raise ConfigError(msg)
    if cfg.grid is not None:
        for task in tasks:
            check_grid(plain(cfg.grid), task.degradation)
    if cfg.save_best is not None and (cfg.interpolate is None or cfg.split != "val"):
        msg = (
            f"save_best={cfg.save_best}: expected interpolate=[A,B] and split=val, as a network "
            "chosen by test photos cannot be tested on them"
        )
        raise ConfigError(msg)
    needed = [cfg.metric] if cfg.grid is not None or cfg.save_best is not None else []
    needed += cfg.tolerance if cfg.save_best is not None else []
    if missing := {metrics.reported_name(name) for name in needed} - set(metrics.names):
        msg = f"metric or tolerance needs {sorted(missing)}, but metrics.names={metrics.names}"
        raise ConfigError(msg)


def warn_of_training_photos(checkpoints: Sequence[str], tasks: Sequence[Task]) -> None:
    """Warn where a checkpoint was trained on photos of a data set that it is measured on."""
    from srlit.checkpoint import resolve_checkpoint

    for name in checkpoints:
        seen = training_photos(resolve_checkpoint(name).resolve().parents[1])
        for task in tasks:
            photos = [photo.path for photo in task.photos.photos]
            if known := [path for path in photos if path.resolve() in seen]:
                log.warning(
                    "%s was trained on %d of the %d photos of %s, such as %s: its results there "
                    "do not apply to new photos",
                    *(name, len(known), len(photos), task.data, known[0]),
                )


def training_photos(run: Path) -> set[Path]:
    """The photos that a run was trained on, by its `config.yaml`; none where it does not tell."""
    try:
        stored: Any = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"), resolve=False)
        sets = build_known(stored["data"]["photos"], str(run / "config.yaml"))
        return {path.resolve() for path in sets.train()}
    except (OSError, ValueError, LookupError, TypeError, YAMLError) as error:
        log.debug("%s: its training photos are unknown: %s", run, error)
        return set()


# -- measuring ----------------------------------------------------------------------------------


def task_runner(
    cfg: DictConfig, task: Task, metrics: "MetricSuite", place: Path
) -> "Callable[..., Results]":
    """`measure` for a task, with the task's device, degradation and cache."""
    from srlit.evaluation.measure import measure
    from srlit.evaluation.results_cache import ResultsCache
    from srlit.inference.upscalers import pick_device
    from srlit.utils.fingerprint import fingerprint

    return partial(
        measure,
        degradation=task.degradation,
        metrics=metrics,
        device=pick_device(cfg.device),
        cache=ResultsCache(place / CACHE, fingerprint(task.config, cfg.scale)),
    )


def measure_task(
    cfg: DictConfig,
    task: Task,
    run: "Callable[..., Results]",
    methods: "Sequence[Upscaler]",
    place: Path,
    reference: str,
) -> "Summary":
    """Measure all methods on a data set; write the tables, images and draws."""
    from srlit.evaluation.comparison_images import ComparisonImages
    from srlit.evaluation.draws_file import RecordedDraws
    from srlit.evaluation.summary import Summary, write_results

    draws = RecordedDraws(task.degradation, Path(cfg.replay) if cfg.replay else None)
    log.info("%s: %d photos, %d methods", place.name, len(task.photos.photos), len(methods))
    images = ComparisonImages(place / "images", cfg.images)
    results = run(methods, task.photos, images=images, draws=draws)
    draws.write(place / "draws.json")
    summary = Summary(task.data, task.degraded, cfg.split, results, reference)
    write_results(place, summary)
    return summary


def map_robustness(
    cfg: DictConfig,
    task: Task,
    run: "Callable[..., Results]",
    methods: "Sequence[Upscaler]",
    metric: str,
    place: Path,
) -> None:
    """Measure every cell of the grid; `robustness.json` and one plot per map."""
    from srlit.evaluation.draws_file import RecordedDraws
    from srlit.evaluation.plots import plot_robustness
    from srlit.evaluation.robustness import describe, grid_settings, robustness_maps
    from srlit.utils.atomic import write_json

    grid = plain(cfg.grid)
    means = {}
    settings = grid_settings(grid)
    for number, setting in enumerate(settings, 1):
        log.info("cell %d of %d: %s", number, len(settings), describe(setting))
        results = run(methods, task.photos, draws=RecordedDraws(task.degradation, setting=setting))
        means[tuple(setting.values())] = {row["name"]: row[metric] for row in results.means}
    maps = robustness_maps(grid, metric, means)
    write_json(place / "robustness.json", [each.as_json() for each in maps])
    for number, each in enumerate(maps):
        name = "robustness.png" if len(maps) == 1 else f"robustness_{number}.png"
        title = [f"{task.data} {task.degraded}", *([describe(each.fixed)] if each.fixed else [])]
        plot_robustness(place / name, ", ".join(title), each)
        for line in each.worst():
            log.info(line)


def draw_figure(
    figure: "Figure",
    task: Task,
    run: "Callable[..., Results]",
    methods: "Sequence[Upscaler]",
    folder: Path,
) -> None:
    """Draw comparison images that `figures` asks for; existing ones are kept."""
    from srlit.evaluation.comparison_images import ComparisonImages
    from srlit.metrics.suite import MetricSuite

    photos = task.photos.first(figure.photos, crop=None if figure.whole else task.photos.crop)
    images = ComparisonImages(folder, figure.photos)
    run(figure.columns(methods), photos, metrics=MetricSuite(names=[]), images=images)
    log.info("figure: %s", folder)


def write_interpolation(
    cfg: DictConfig, loader: "NetworkLoader", place: Path, means: "Sequence[Row]"
) -> None:
    """`interpolation.json`, the perception-distortion curve, and the best network if asked for."""
    from srlit.evaluation.methods import interpolation_names, save_interpolated
    from srlit.evaluation.plots import plot_tradeoff
    from srlit.metrics.ranking import SelectionRule
    from srlit.utils.atomic import write_json

    pair = plain(cfg.interpolate)
    alphas = interpolation_names(pair, plain(cfg.alphas))
    rows = [row for row in means if row["name"] in alphas]
    metrics = [name for name in means[0] if name != "name"]
    points = [
        {"weight": alphas[row["name"]], "metrics": {name: row[name] for name in metrics}}
        for row in rows
    ]
    write_json(place / "interpolation.json", points)
    shown = [row | {"name": f"{alphas[row['name']]:g}"} for row in rows]
    plot_tradeoff(place / "interpolation.png", shown, line=True)
    if cfg.save_best is not None:
        rule = SelectionRule(metric=cfg.metric, tolerance=plain(cfg.tolerance)).named_as(metrics)
        best = rule.rank(rows)[0]["name"]
        save_interpolated(loader, pair, alphas[best], Path(cfg.save_best))
        log.info("%s: %s (%s)", cfg.save_best, best, rule.describe())


@entry_point("evaluate")
def main(cfg: DictConfig) -> None:
    """Command line."""
    evaluate(cfg)


if __name__ == "__main__":
    main()

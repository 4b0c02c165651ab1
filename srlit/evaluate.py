"""Measure checkpoints: `python -m srlit.evaluate 'checkpoints=[runs/phase3]'`.

One table of all methods on one data set under one degradation, as console text, JSON and Markdown,
a comparison picture a photo, and what was drawn for each photo (`draws.json`, for `replay`).
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from srlit.config import ConfigError, build, entry_point, load_generator
from srlit.config.entry import choice

if TYPE_CHECKING:
    from srlit.data import PhotoDataModule
    from srlit.inference import Measured, Restorer, Row
    from srlit.metrics import MetricSuite

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig) -> "list[Row]":
    """Measure every method on every photo and write the results.

    Returns:
        A row a method: its name and the mean of each metric.
    """
    from srlit.inference import DrawBook, Pictures, measure, pick_device

    folder = Path(cfg.paths.run)
    data = evaluation_data(cfg)
    metrics: MetricSuite = build(cfg.metrics)
    methods = [*baselines(cfg), *networks(cfg)]
    book = DrawBook(data.eval_degradation, Path(cfg.replay) if cfg.replay else None)
    found = measure(
        methods,
        data.evaluation_loader(cfg.split, metrics.least_size),
        data.eval_degradation,
        metrics,
        pick_device(cfg.device),
        Pictures(folder / "pictures", cfg.pictures),
        book,
    )
    book.write(folder / "draws.json")
    degraded = f"{data.eval_degradation.name} x{cfg.scale}"
    write_results(
        folder,
        f"{cfg.split} photos of {choice('data', cfg.data.photos['_target_'])} under {degraded}",
        found,
    )
    if data.rejected:
        message = "\n".join(f"  {path}: {reason}" for path, reason in data.rejected)
        raise SystemExit(f"{len(data.rejected)} photos could not be used:\n{message}")
    return found.means


def evaluation_data(cfg: DictConfig) -> "PhotoDataModule":
    """The photos of a split and their degradation."""
    degradation = build(cfg.degradation)
    module: PhotoDataModule = build(
        cfg.data,
        degradation=degradation,
        eval_degradation=degradation,
        seed=0,
        scale=cfg.scale,
        iterations=0,
        cache_dir=cfg.paths.cache,
        store_dir=cfg.paths.store,
        most_bad=1.0,
    )
    return module


# -- methods ------------------------------------------------------------------------------------


def baselines(cfg: DictConfig) -> list["Restorer"]:
    """The interpolators."""
    from srlit.inference import Interpolator

    return [Interpolator(name, scale=cfg.scale) for name in cfg.baselines]


def networks(cfg: DictConfig) -> list["Restorer"]:
    """The trained networks, named after their run's folder or as `names` says.

    Raises:
        ConfigError: another scale than `scale`, or `names` of another length.
        CheckpointError: a checkpoint that is missing or does not fit.
    """
    from srlit.checkpoint import resolve_checkpoint
    from srlit.inference import Network, pick_device

    checkpoints = [cfg.checkpoints] if isinstance(cfg.checkpoints, str) else list(cfg.checkpoints)
    names = cfg.names or [_name_of(Path(name)) for name in checkpoints]
    if len(names) != len(checkpoints) or len({*names, *cfg.baselines}) < len(
        [*names, *cfg.baselines]
    ):
        msg = (
            f"names={list(names)}: expected {len(checkpoints)} names, one a checkpoint, different "
            f"from each other and from baselines={list(cfg.baselines)}"
        )
        raise ConfigError(msg)
    found: list[Restorer] = []
    for name, checkpoint in zip(names, checkpoints, strict=True):
        path = resolve_checkpoint(checkpoint)
        generator, _ = load_generator(path, cfg.get("model"))
        if generator.scale != cfg.scale:
            msg = f"{path} upscales by {generator.scale}, but scale={cfg.scale}"
            raise ConfigError(msg)
        network = Network(
            name, generator, device=pick_device(cfg.device), tile=cfg.tile, overlap=cfg.overlap
        )
        found.append(network)
    return found


def _name_of(path: Path) -> str:
    path = path.resolve()
    return path.name if path.suffix != ".ckpt" else f"{path.parents[1].name}/{path.stem}"


# -- writing ------------------------------------------------------------------------------------


def write_results(folder: Path, title: str, found: "Measured") -> None:
    """`table.json`, `table.md`, `photos.csv`, and the table on the console."""
    import csv

    from srlit.checkpoint import atomic_file, write_json, write_text
    from srlit.inference import markdown_table, print_table

    write_json(folder / "table.json", found.means)
    write_text(folder / "table.md", f"{title}\n\n{markdown_table(found.means)}\n")
    with atomic_file(folder / "photos.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found.photos[0]))
        writer.writeheader()
        writer.writerows(found.photos)
    print_table(title, found.means)
    log.info("written to %s", folder)


@entry_point("evaluate")
def main(cfg: DictConfig) -> None:
    """Command line."""
    evaluate(cfg)


if __name__ == "__main__":
    main()

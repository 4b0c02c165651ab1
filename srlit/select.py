"""Rank all checkpoints of a run after the fact: `python -m srlit.select run=runs/phase3`.

Every checkpoint is measured anew on the photos that the run validated on, under the same
degradation; test photos play no part. Writes `selection.json` into the run's folder.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from srlit.config import ConfigError, build, build_known, entry_point, load_generator, plain

if TYPE_CHECKING:
    from srlit.data import EvaluationData
    from srlit.degradation import Degradation
    from srlit.inference import Restorer, Row

log = logging.getLogger(__name__)

# What of a run's data says on what it was validated.
JUDGED = ("eval_seed", "eval_crop", "eval_batch_size", "most_bad")


def select(cfg: DictConfig) -> "list[Row]":
    """Measure, rank and record.

    Returns:
        A row a checkpoint, best first.
    """
    from srlit.checkpoint import write_json
    from srlit.inference import measure, pick_device, print_table
    from srlit.metrics import MetricSuite, SelectionRule

    run = Path(cfg.run)
    metrics: MetricSuite = build(cfg.metrics)
    floors = {metrics.reported_name(name): value for name, value in plain(cfg.floors).items()}
    rule = SelectionRule(metric=metrics.reported_name(cfg.metric), floors=floors)
    missing = {rule.metric, *rule.floors} - set(metrics.names)
    if missing:
        msg = f"metric or floors name {sorted(missing)}, but metrics.names has {metrics.names}"
        raise ConfigError(msg)
    methods = checkpoints(cfg, run)
    data, degradation = validation_data(run, cache=cfg.paths.cache, store=cfg.paths.store)
    photos = data.evaluation_photos("val", metrics.least_size)
    device = pick_device(cfg.device)
    found = measure(methods, photos, degradation, metrics, device)
    ranked = sorted(
        found.means, key=lambda row: rule.cost({name: row[name] for name in metrics.names})
    )
    print_table(f"{run}: {rule.describe()}, on its validation photos", ranked)
    write_json(run / "selection.json", {"rule": rule.describe(), "ranked": ranked})
    log.info("best: %s", run / "checkpoints" / ranked[0]["name"])
    return ranked


def checkpoints(cfg: DictConfig, run: Path) -> list["Restorer"]:
    """Every checkpoint of the run as a restorer; `last` only where it is no other one's twin.

    Raises:
        ConfigError: the run has none.
    """
    from srlit.inference import Network, pick_device

    paths = sorted((run / "checkpoints").glob("*.ckpt"))
    if not paths:
        msg = f"run={run}: no checkpoint in {run / 'checkpoints'}"
        raise ConfigError(msg)
    twins = {path.stat().st_ino for path in paths if path.name != "last.ckpt"}
    kept = [p for p in paths if p.name != "last.ckpt" or p.stat().st_ino not in twins]
    device = pick_device(cfg.device)
    return [
        Network(path.name, load_generator(path, cfg.get("model"))[0], device=device)
        for path in kept
    ]


def validation_data(
    run: Path, *, cache: str | None, store: str | None
) -> "tuple[EvaluationData, Degradation]":
    """The run's own photos and evaluation degradation, rebuilt from its `config.yaml`.

    Raises:
        ConfigError: no configuration there, or one that names foreign classes.
    """
    from srlit.data import EvaluationData

    path = run / "config.yaml"
    if not path.is_file():
        msg = f"run={run}: no config.yaml: expected the folder of a run of srlit.train"
        raise ConfigError(msg)
    stored: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    degradation: Degradation = build_known(stored["eval_degradation"], str(path))
    data = EvaluationData(
        photos=build_known(stored["data"]["photos"], str(path)),
        scale=stored["scale"],
        cache_dir=cache,
        store_dir=store,
        **{key: stored["data"][key] for key in JUDGED if key in stored["data"]},
    )
    return data, degradation


@entry_point("select")
def main(cfg: DictConfig) -> None:
    """Command line."""
    select(cfg)


if __name__ == "__main__":
    main()

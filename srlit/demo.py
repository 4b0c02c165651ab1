"""The whole path on scikit-image's photos, in minutes on two CPU cores: `python -m srlit.demo`.

Trains three phases, each from the previous one, measures their selected checkpoints on photos that
were used neither in training nor in selection, and leaves `runs/demo/report.html`, `table.json` and
`comparison.png`.
"""

import argparse
import logging
import shutil
import time
from pathlib import Path

from srlit.config import CONF_DIR, EXPECTED, check_config, quieten

log = logging.getLogger(__name__)

PHASES = ("demo_phase1", "demo_phase2", "demo_phase3")
FILES = ("comparison.png", "report.html", "measured.jsonl", "draws.json", "photos.csv")
TABLES = ("table.json", "table.md", "table.tex", "statistics.json")


def demo(folder: Path, overrides: list[str]) -> None:
    """Train, select, measure, draw, report.

    Args:
        folder: where everything goes; the files of an earlier demo are replaced.
        overrides: KEY=VALUE for all three trainings.
    """
    from hydra import compose, initialize_config_dir

    from srlit.evaluate import evaluate
    from srlit.inference.image_files import read_image, write_image
    from srlit.ops.image_grid import stacked
    from srlit.report import report
    from srlit.train import train

    started = time.monotonic()
    shared = [f"paths.runs={folder}", "weights.allow_untrained=true"]
    checkpoints = ",".join(str(folder / phase) for phase in PHASES)
    measured = [f"checkpoints=[{checkpoints}]", "names=[phase 1,phase 2,phase 3]"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        trainings = [compose("train", [f"+experiment={p}", *shared, *overrides]) for p in PHASES]
        evaluation = compose("evaluate", [*shared, *measured, f"paths.run={folder}"])
        page = compose("report", ["subject=run", f"folders=[{folder}]", f"paths.run={folder}"])
    for cfg in trainings:
        check_config(cfg, "train")
    remove_old_demo(folder)
    for cfg in trainings:
        log.info("--- %s ---", cfg.label)
        train(cfg)
    evaluate(evaluation)
    rows = [read_image(path).rgb[0] for path in sorted((folder / "images").glob("*.png"))]
    write_image(folder / "comparison.png", stacked(rows)[None])
    report(page)
    log.info("done in %.1f minutes: look at %s", (time.monotonic() - started) / 60, folder)


def remove_old_demo(folder: Path) -> None:
    """Remove the files of an earlier demo from its folder, and nothing else."""
    for name in (*PHASES, "images"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (*FILES, *TABLES):
        (folder / name).unlink(missing_ok=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="srlit demo", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"), help="default: runs/demo")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for all three trainings")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    quieten()
    try:
        demo(args.folder, args.overrides)
    except EXPECTED as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()

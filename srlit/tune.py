"""The report on a sweep: one table and one PSNR-LPIPS plot over its runs.

`SweepReport` runs by itself at the end of a multirun with `+sweep=...`; for a sweep that was
interrupted: `python -m srlit.tune runs/sweeps/phase3_loss_weights`.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

Row = dict[str, Any]
log = logging.getLogger(__name__)


class SweepReport(Callback):
    """A Hydra callback that updates the report after each job and prints it at the end.

    After each job, as Hydra does not call back at the end of a sweep in which a job failed.
    """

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002
        """Update the report."""
        write_report(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401, ARG002
        """Print the report."""
        report_sweep(Path(config.hydra.sweep.dir))


def write_report(folder: Path) -> list[Row]:
    """Write `table.json`, `table.md` and, if both are measured, `psnr_lpips.png`.

    Returns:
        One row per run that selected a checkpoint, best first; nothing is written without any.
    """
    from srlit.checkpoint.runs import BEST, read_best
    from srlit.evaluation.plots import plot_tradeoff
    from srlit.evaluation.tables import first_metric, markdown_table
    from srlit.metrics.ranking import SelectionRule
    from srlit.utils.atomic import write_json, write_text

    runs = [path.parent for path in sorted(folder.glob(f"*/{BEST}"))]
    found = [(run.name, read_best(run, "iteration", "metrics")) for run in runs]
    rows = [{"name": n, "iteration": best["iteration"], **best["metrics"]} for n, best in found]
    if rows:
        decides = first_metric(rows[0], "lpips") or "loss"
        rows = SelectionRule(metric=decides).rank(rows)
        write_json(folder / "table.json", rows)
        write_text(folder / "table.md", markdown_table(rows) + "\n")
        plot_tradeoff(folder / "psnr_lpips.png", rows)
    return rows


def report_sweep(folder: Path) -> list[Row]:
    """Write the report and print its table.

    Raises:
        FileNotFoundError: no run below the folder has selected a checkpoint.
    """
    from srlit.evaluation.tables import print_table

    rows = write_report(folder)
    if not rows:
        raise FileNotFoundError(f"{folder}: no run below this folder has selected a checkpoint")
    print_table(f"{folder.name}: selected checkpoints, validation photos", rows)
    log.info("sweep report in %s", folder)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="srlit tune", description="Report on a sweep's folder.")
    parser.add_argument("folder", type=Path, help="folder with the sweep's runs")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        report_sweep(parser.parse_args().folder)
    except FileNotFoundError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()

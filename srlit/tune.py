"""The report on a sweep: one table and one PSNR-LPIPS plot over its runs.

`SweepReport` runs by itself at the end of a multirun with `+sweep=...`; for a sweep that was
interrupted: `python -m srlit.tune runs/sweeps/phase3_loss_weights`.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

if TYPE_CHECKING:
    from srlit.evaluation.summary import Protocol

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
    from srlit.checkpoint.runs import read_best
    from srlit.evaluation.plots import plot_tradeoff
    from srlit.evaluation.tables import first_metric, markdown_table
    from srlit.metrics.ranking import SelectionRule
    from srlit.utils.atomic import write_json, write_text

    runs = runs_of(folder)
    best = {run.name: read_best(run, "iteration", "metrics") for run in runs}
    rows = [{"name": n, "iteration": b["iteration"], **b["metrics"]} for n, b in best.items()]
    if rows:
        decides = first_metric(rows[0], "lpips") or "loss"
        rows = SelectionRule(metric=decides).rank(rows)
        protocols = {run.name: protocol_of(run) for run in runs}
        labels = {name: p.labels(None) if p else {} for name, p in protocols.items()}
        write_json(folder / "table.json", [labels[row["name"]] | row for row in rows])
        write_text(folder / "table.md", f"{title(folder)}\n\n{markdown_table(rows)}\n")
        plot_tradeoff(folder / "psnr_lpips.png", rows)
    return rows


def runs_of(folder: Path) -> list[Path]:
    """The runs of a sweep that selected a checkpoint."""
    from srlit.checkpoint.runs import BEST

    return [path.parent for path in sorted(folder.glob(f"*/{BEST}"))]


def protocol_of(run: Path) -> "Protocol | None":
    """How a run was validated; None where its configuration does not tell."""
    from srlit.config.build import stored_config
    from srlit.evaluation.summary import Protocol

    try:
        return Protocol.of_run(stored_config(run))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def title(folder: Path) -> str:
    """The table's title: the sweep, and on what its runs were validated."""
    found = map(protocol_of, runs_of(folder))
    how = sorted({p.describe() if p else "validated as no config.yaml tells" for p in found})
    warning = " (these rows do not compare)" if len(how) > 1 else ""
    return f"{folder.name}: selected checkpoints, {' and '.join(how)}{warning}"


def report_sweep(folder: Path) -> list[Row]:
    """Write the report and print its table.

    Raises:
        FileNotFoundError: no run below the folder has selected a checkpoint.
    """
    from srlit.evaluation.tables import print_table

    rows = write_report(folder)
    if not rows:
        raise FileNotFoundError(f"{folder}: no run below this folder has selected a checkpoint")
    print_table(title(folder), rows)
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

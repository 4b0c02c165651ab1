"""Does training in bfloat16 cost quality? The same trainings in float32 and in bf16-mixed.

Trains the demo's generator (L1, blind x2) from several seeds in either precision and compares the
PSNR of its moving average, computed in float32, on held-back photos. A processor without bfloat16
rounds as one that has it, only slower. Photos: BSDS500 of SRLIT_DATA, else scikit-image's.

    SRLIT_DATA=... python benchmarks/precision.py --iterations 1000 --seeds 0 1 2
"""

import argparse
import json
import logging
import statistics
import tempfile
from pathlib import Path

from common.photos import data_folder
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from srlit.checkpoint.runs import read_best
from srlit.config import CONF_DIR, quieten

PRECISIONS = ("32-true", "bf16-mixed")
METRIC = "psnr_rgb_b0"
ALLOWED = 0.02  # dB, of the mean over seeds


def trained_psnr(precision: str, seed: int, iterations: int, runs: Path) -> float:
    """PSNR in dB after a training."""
    from srlit.train import train

    folder = data_folder()
    photos = ["data=bsds400", f"paths.data={folder}"] if folder else []
    name = f"{precision}_{seed}"
    overrides = [
        "+experiment=demo_phase1",
        *photos,
        "data.patch_size=96",
        "data.batch_size=8",
        f"seed={seed}",
        f"iterations={iterations}",
        f"validate_every={iterations}",
        f"trainer.precision={precision}",
        "trainer.accelerator=cpu",
        f"metrics.names=[{METRIC}]",
        f"callbacks.lpips_checkpoint.metric={METRIC}",
        "callbacks.image_logger=null",
        "callbacks.degradation=null",
        f"paths.runs={runs}",
        f"name={name}",
    ]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        train(compose("train", overrides))
    return float(read_best(runs / name)["metrics"][METRIC])


def print_table(found: dict[int, dict[str, float]]) -> float:
    """A line a seed; gives the mean difference."""
    table = Table(title=f"{METRIC} in dB", title_justify="left")
    for name in ("seed", *PRECISIONS, "difference"):
        table.add_column(name, justify="right")
    differences = []
    for seed, values in found.items():
        single, half = (values[precision] for precision in PRECISIONS)
        differences.append(half - single)
        table.add_row(str(seed), f"{single:.3f}", f"{half:.3f}", f"{half - single:+.3f}")
    mean = statistics.mean(differences)
    table.add_row("mean", "", "", f"{mean:+.3f}")
    Console().print(table)
    return mean


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--iterations", type=int, default=1000, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="20 iterations from one seed")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    quieten()
    iterations, seeds = (20, [0]) if args.quick else (args.iterations, args.seeds)

    with tempfile.TemporaryDirectory() as folder:
        found = {
            seed: {p: trained_psnr(p, seed, iterations, Path(folder)) for p in PRECISIONS}
            for seed in seeds
        }
    mean = print_table(found)
    print(f"mean difference {mean:+.3f} dB; {ALLOWED} allowed")
    if args.json:
        args.json.write_text(json.dumps({"iterations": iterations, "psnr": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()

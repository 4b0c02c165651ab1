"""Which small generator is the best after the same minutes on this CPU?

Trains each candidate on scikit-image's photos with the demo's settings (L1, blind x2; a constant
learning rate, as nobody knows how many iterations fit) for the same time, and measures its moving
average on the two test photos under `fixed`, beside bicubic. This is how the demo's network was
chosen.

    python benchmarks/small_models.py --minutes 2 --json small_models.json
"""

import argparse
import json
import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from srlit.config import CONF_DIR, quieten

CANDIDATES = {
    "edsr_small": ["model=edsr_small"],
    "edsr, 48 channels, 8 blocks": ["model=edsr_small", "model.width=48", "model.blocks=8"],
    "unet_small": ["model=unet_small"],
    "unet_small, GroupNorm": ["model=unet_small", "model.norm=group", "model.width=32"],
}


def config(root: str, *overrides: str) -> Any:
    """A composed root file."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(root, list(overrides))


def train_for(minutes: float, name: str, overrides: list[str], runs: Path) -> int:
    """Train for so many minutes at a constant rate; gives the iterations that were made."""
    from srlit.checkpoint import load_checkpoint
    from srlit.train import train

    limit = timedelta(minutes=minutes)
    train(
        config(
            "train",
            "+experiment=demo_phase1",
            "schedule=constant",
            "iterations=1000000",
            "validate_every=1000000",
            f"+trainer.max_time={{seconds: {limit.total_seconds()}}}",
            "callbacks.panels=null",
            "weights.allow_untrained=true",
            f"paths.runs={runs}",
            f"name={name}",
            *overrides,
        )
    )
    return int(load_checkpoint(runs / name / "checkpoints" / "last.ckpt")["iteration"])


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="for each candidate")
    parser.add_argument("--quick", action="store_true", help="6 seconds each")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    quieten()

    from srlit.evaluate import evaluate

    minutes = 0.1 if args.quick else args.minutes
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        iterations = {
            name: train_for(minutes, f"candidate{i}", overrides, runs)
            for i, (name, overrides) in enumerate(CANDIDATES.items())
        }
        checkpoints = ",".join(
            str(runs / f"candidate{i}/checkpoints/last.ckpt") for i in range(len(CANDIDATES))
        )
        rows = evaluate(
            config(
                "evaluate",
                f"checkpoints=[{checkpoints}]",
                f"names={json.dumps(list(CANDIDATES))}",
                f"paths.runs={runs}",
                "baselines=[bicubic]",
                "weights.allow_untrained=true",
                "pictures=0",
            )
        )
    result = {"minutes": minutes, "iterations": iterations, "rows": rows}
    print(json.dumps(iterations, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Which generator restores best after the same CPU time?

Trains each network with L1 and the demo's settings for the same CPU time, that of all cores
together (at a constant learning rate, as nobody knows how many iterations fit), under `blind` to be
measured under `fixed`, and under `bicubic` to be measured under `bicubic`. Measures the moving
averages on test photos, beside interpolation. With SRLIT_DATA: BSDS500's 400 photos to train on and
BSD100 to test; without it, scikit-image's few photos. A network is a file of conf/model, with
overrides behind it. A thread that waits must not count as one that works, hence OMP_WAIT_POLICY.

    export SRLIT_DATA=... OMP_WAIT_POLICY=passive
    python benchmarks/quality.py --markdown benchmarks/quality.md
    python benchmarks/quality.py --minutes 2 --networks edsr_small 'unet_small model.norm=group'
"""

import argparse
import json
import logging
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.photos import data_folder
from hydra import compose, initialize_config_dir

from srlit.config import CONF_DIR, quieten
from srlit.evaluation.summary import LABELS
from srlit.evaluation.tables import markdown_table

NETWORKS = ["unet_small", "two_stage_small"]
# Preset of the evaluation -> preset of the training.
TRAINED_UNDER = {"fixed": "blind", "bicubic": "bicubic"}


@dataclass
class Result:
    """What came of one preset: a network's iterations, and a row a method."""

    preset: str
    iterations: dict[str, int]
    rows: list[dict[str, Any]]


def config(root: str, *overrides: str) -> Any:
    """A composed root file, with the photos to measure on."""
    folder = data_folder()
    name = {"train": "bsds400", "evaluate": "bsd100"}[root]
    data = [f"data={name}", f"paths.data={folder}"] if folder else []
    if root == "train":
        data += ["data.patch_size=96", "data.batch_size=8"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(root, [*overrides, *data, "weights.allow_untrained=true"])


def train_for(minutes: float, network: str, preset: str, runs: Path, name: str) -> int:
    """Train for so many CPU minutes; gives the iterations that were made."""
    from srlit.checkpoint import load_checkpoint
    from srlit.train import train

    model, *overrides = network.split()
    train(
        config(
            "train",
            "+experiment=demo_phase1",
            f"model={model}",
            *overrides,
            f"degradation={TRAINED_UNDER[preset]}",
            "schedule=constant",
            "iterations=1000000",
            "validate_every=1000000",
            f"+callbacks.budget={{_target_: common.budget.CPUTime, minutes: {minutes}}}",
            "callbacks.image_logger=null",
            "callbacks.degradation=null",
            f"paths.runs={runs}",
            f"name={name}",
        )
    )
    return int(load_checkpoint(runs / name / "checkpoints" / "last.safetensors")["iteration"])


def compare(minutes: float, networks: list[str], preset: str, runs: Path) -> Result:
    """Train every network, then measure all of them."""
    from srlit.evaluate import evaluate

    names = [f"network{number}" for number in range(len(networks))]
    iterations = {
        network: train_for(minutes, network, preset, runs, name)
        for network, name in zip(networks, names, strict=True)
    }
    checkpoints = ",".join(str(runs / name / "checkpoints" / "last.safetensors") for name in names)
    rows = evaluate(
        config(
            "evaluate",
            f"checkpoints=[{checkpoints}]",
            f"names={json.dumps(networks)}",
            f"degradation={preset}",
            f"paths.runs={runs}",
            "baselines=[bicubic]",
            "images=0",
        )
    )
    # One set, one degradation: their columns would say the same in every row.
    own = [{key: value for key, value in row.items() if key not in LABELS} for row in rows]
    return Result(preset, iterations, own)


def page(results: list[Result], minutes: float) -> str:
    """The results as Markdown, with the command that makes them."""
    photos = "BSD100, trained on BSDS500's 400 photos" if data_folder() else "scikit-image's photos"
    head = (
        "# Which generator restores best after the same CPU time?\n\n"
        "    SRLIT_DATA=... OMP_WAIT_POLICY=passive "
        f"python benchmarks/quality.py --minutes {minutes:g}\n\n"
        f"x2, centre crops of {photos}; {minutes:g} CPU minutes of training each, on "
        f"{os.cpu_count()} cores ({platform.processor() or platform.machine()}).\n"
    )
    text = [head]
    for result in results:
        made = ", ".join(f"{name} {count:,}" for name, count in result.iterations.items())
        text.append(
            f"## Under `{result.preset}`, trained under `{TRAINED_UNDER[result.preset]}`\n\n"
            f"{markdown_table(result.rows)}\n\nIterations: {made}.\n"
        )
    return "\n".join(text)


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of CPU time, for each network and preset"
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="of conf/model")
    parser.add_argument(
        "--presets", nargs="+", choices=list(TRAINED_UNDER), default=list(TRAINED_UNDER)
    )
    parser.add_argument("--quick", action="store_true", help="6 seconds each")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--markdown", type=Path, help="write the page here")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    quieten()

    minutes = 0.1 if args.quick else args.minutes
    results = []
    for preset in args.presets:
        with tempfile.TemporaryDirectory() as folder:
            results.append(compare(minutes, args.networks, preset, Path(folder)))
    print(page(results, minutes))
    if args.markdown:
        args.markdown.write_text(page(results, minutes))
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()

"""How much of an evaluation's time is the network's and the metrics' own?

Two sections, each of which `--sections` can choose:

    measuring  PSNR, SSIM and LPIPS (alex) of one network on photos, whole, x2 under `fixed`: BSD100
               where SRLIT_DATA names a folder, else scikit-image's photos
    start      from the start of `python -m srlit.evaluate` to the first measured photo

In the first, `srlit` is the whole way: photos read, degraded, restored, measured, noted on disk.
`own arithmetic` is the network's forward passes and the metrics, in the same batches, on pairs
that lie ready in memory. `times` is the time of a row as a multiple of the first row's; what was
asked is at most 1.15 times the own arithmetic. In the second what was asked is 8 seconds on two
cores. Nothing is asserted. Contestants take turns; a row's value is its median round.

    SRLIT_DATA=... SRLIT_WEIGHTS=... python benchmarks/evaluation.py
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
from common.photos import data_folder
from common.race import take_turns
from common.results import Measure, Row, make_parser, milliseconds, report, timed_rows
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from srlit.config import CONF_DIR, build, quieten
from srlit.data.transforms import evaluation_pair
from srlit.evaluate import build_tasks
from srlit.evaluation.measure import Measurement
from srlit.evaluation.results_cache import ResultsCache
from srlit.evaluation.task import Task
from srlit.inference.upscalers import NetworkUpscaler
from srlit.metrics.suite import MetricSuite
from srlit.ops.malloc import keep_freed_memory

METRICS = "metrics.names=[psnr_rgb_b0,ssim_rgb_b0,lpips_alex]"
QUICK_GROUPS = 4


def overrides(folder: Path) -> list[str]:
    """Of `srlit.evaluate`: the photos, and everything else beside them in a folder of its own."""
    data = data_folder()
    photos = ["data=bsd100", f"paths.data={data}"] if data else ["data=sample"]
    own = [f"paths.runs={folder}", "weights.allow_untrained=true", "images=0", "device=cpu"]
    return [*photos, METRICS, "data.eval_crop=null", *own]


def config(root: str, *given: str) -> DictConfig:
    """A composed root file."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(root, list(given))


def generator_of(name: str) -> Any:
    """A network of conf/model with random weights."""
    torch.manual_seed(0)
    return build(config("train", f"model={name}").model).eval()


def whole_way(task: Task, network: NetworkUpscaler, metrics: MetricSuite, folder: Path) -> float:
    """Seconds for all photos, on every way that srlit goes."""
    cache = ResultsCache(folder / "measured.jsonl")
    started = time.perf_counter()
    Measurement(
        methods=[network],
        photos=task.photos,
        degradation=task.degradation,
        metrics=metrics,
        device=network.device,
        cache=cache,
    ).results()
    return time.perf_counter() - started


def own_arithmetic(
    task: Task, network: NetworkUpscaler, metrics: MetricSuite
) -> Callable[[], float]:
    """Makes the pairs ready; gives seconds for all photos."""
    pairs = [
        evaluation_pair(task.photos.read(indices), task.degradation)
        for indices in task.photos.groups
    ]
    generator = network.generator

    @torch.inference_mode()
    def seconds() -> float:
        started = time.perf_counter()
        for lr, hr in pairs:
            sr = generator(lr.contiguous(memory_format=torch.channels_last)).clamp(0, 1)
            metrics(sr, hr)
        return time.perf_counter() - started

    seconds()  # the first passes choose algorithms and allocate: they count for nobody
    return seconds


def measuring(args: argparse.Namespace) -> list[Row]:
    """The whole way beside its own arithmetic."""
    with tempfile.TemporaryDirectory() as name:
        cfg = config("evaluate", *overrides(Path(name)))
        metrics: MetricSuite = build(cfg.metrics)
        [task] = build_tasks(cfg, [], metrics)
        if args.quick:
            del task.photos.groups[QUICK_GROUPS:]
        network = NetworkUpscaler("network", generator_of(args.model), device=torch.device("cpu"))
        numbers = count()
        blocks = take_turns(
            {
                "own arithmetic": own_arithmetic(task, network, metrics),
                "srlit": lambda: whole_way(task, network, metrics, Path(name) / str(next(numbers))),
            },
            1 if args.quick else args.rounds,
        )
    photos = sum(map(len, task.photos.groups))
    return timed_rows(
        f"measuring {photos} photos, {args.model}", blocks, milliseconds(photos, "photo")
    )


def start(args: argparse.Namespace) -> list[Row]:
    """A process from its start to the first line of its ledger."""

    def seconds() -> float:
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, "-m", "srlit.evaluate", *overrides(Path(name))]
            started = time.perf_counter()
            process = subprocess.Popen(
                [*command, f"checkpoints=[{checkpoint}]"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while not (Path(name) / "evaluation" / "measured.jsonl").exists():
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended with exit code {process.returncode}")
                time.sleep(0.01)
            spent = time.perf_counter() - started
            process.kill()
            process.wait()
            return spent

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "network.pth"
        torch.save(generator_of("compact_small").state_dict(), checkpoint)
        blocks = take_turns({"srlit.evaluate": seconds}, 1 if args.quick else args.rounds)
    return timed_rows("start", blocks, Measure("s", lambda spent: spent))


SECTIONS = {"measuring": measuring, "start": start}


def main() -> None:
    """Measure and print."""
    quick = f"one round of {QUICK_GROUPS} batches: for a look only"
    parser = make_parser(__doc__, SECTIONS, quick)
    parser.add_argument("--model", default="unet_small", help="of conf/model")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    quieten()
    keep_freed_memory()
    report(args, lambda name: SECTIONS[name](args), {"threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()

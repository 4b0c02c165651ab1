"""Folders as srlit leaves them, made in milliseconds by what writes the real ones."""

import math

import torch
from torchvision.utils import save_image

from srlit.callbacks.csv_logger import CSVLogger
from srlit.callbacks.image_logger import panel_name
from srlit.checkpoint.runs import RunRecord
from srlit.evaluation.measure import Results
from srlit.evaluation.summary import Protocol, Summary, write_results
from srlit.inference.image_files import write_image
from srlit.ops.image_grid import comparison, side_by_side, stacked
from srlit.utils.atomic import write_json, write_text

STEPS = range(10, 101, 10)
SELECTED = 60
PROTOCOL = Protocol("somewhere", "fixed", "test", 2, 64, None)


def make_run(folder, *, config="seed: 0\n", photos=2):
    """A run of 100 iterations, validated every 20, whose checkpoint of iteration 60 is selected."""
    folder.mkdir(parents=True)
    text = f"name: {folder.name}\nscale: 2\npaths: {{run: {folder}, runs: {folder.parent}}}\n"
    write_text(folder / "config.yaml", text + config)
    record = RunRecord(name=folder.name, label="x", command="train <it>", started=0.0)
    record.status, record.ended, record.seconds = "finished", 754.0, 754.0
    record.write(folder)
    logger = CSVLogger(folder=str(folder))
    for step in STEPS:
        logger.log_metrics(training_row(step), step)
        if step % 20 == 0:
            logger.log_metrics({f"val/{k}": v for k, v in validated(step).items()}, step)
    best = {"iteration": SELECTED, "rule": "lowest lpips_alex", "metrics": validated(SELECTED)}
    write_json(folder / "best.json", best)
    (folder / "panels").mkdir()
    for step in (20, SELECTED, 100):
        rows = [side_by_side([lr(i), sr(i, step / 100), hr(i)]) for i in range(photos)]
        save_image(stacked(rows), folder / "panels" / panel_name(step))
    return folder


def training_row(step):
    terms = {"l1": 1 / step, "lpips": 0.2}
    row = {f"train/{kind}/{k}": v for kind in ("raw", "weighted") for k, v in terms.items()}
    logits = {"train/logits/real": 0.6, "train/logits/fake": 0.4 + step / 1000}
    return row | logits | {"train/loss": sum(terms.values()), "learning_rate": 1e-4}


def validated(step):
    return {"psnr_rgb_b0": 25 - step / 100, "lpips_alex": 0.2 + abs(step - SELECTED) / 1000}


def hr(number):
    wave = torch.linspace(0, 6 + number, 64).sin() * 0.4 + 0.5
    return torch.stack([wave.outer(wave), wave.expand(64, 64), wave.expand(64, 64).T])


def lr(number):
    return hr(number)[:, ::2, ::2]


def sr(number, quality):
    return (hr(number) * quality + 0.3 * (1 - quality)).clamp(0, 1)


def make_evaluation(folder, methods=("bilinear", "bicubic", "run"), photos=5):
    """An evaluation in which photo i has an LPIPS of i/10, less a little by later methods."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"name": method, "photo": f"photo{i}.png"}
        | {"psnr_rgb_b0": 20.0 + i + 0.1 * m, "lpips_alex": i / 10 - 0.01 * m}
        for m, method in enumerate(methods)
        for i in range(photos)
    ]
    means = []
    for method in methods:
        own = [row for row in rows if row["name"] == method]
        sums = {k: math.fsum(row[k] for row in own) for k in ("psnr_rgb_b0", "lpips_alex")}
        means.append({"name": method} | {name: value / photos for name, value in sums.items()})
    measured = Results(means, rows, [])
    write_results(folder, Summary(PROTOCOL, measured, methods[0]))
    for i in range(photos):
        images = {"LR": lr(i)} | {m: sr(i, k / 9) for k, m in enumerate(methods)} | {"HR": hr(i)}
        write_image(folder / "images" / f"{i:03}_photo{i}.png", comparison(images)[None])
    return folder


ROBUSTNESS = {
    "axes": [{"name": "blur", "values": [0, 1]}, {"name": "noise", "values": [0, 10, 20]}],
    "metric": "lpips_alex",
    "models": {
        "bicubic": [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4]],
        "ours": [[0.05, 0.1, 0.2], [0.1, 0.35, None]],
    },
}

"""Systems other than Linux, as far as Linux can stand for them: `tests/windows.py` says how."""

import os
import subprocess
import sys
import tomllib

import yaml
from PIL import Image

from srlit.checkpoint.runs import read_record
from srlit.train import train
from tests.helpers import REPOSITORY, TINY_TRAINING, compose_config

# Processes that it starts import the script again. Default encodings of text files are errors.
START = """
if __name__ == "__main__":
    import importlib, multiprocessing, pkgutil, sys, warnings
    import srlit, srlit.data.scan
    warnings.filterwarnings("error", category=EncodingWarning, module="srlit")

    def command(name, *arguments):
        sys.argv[1:] = arguments
        importlib.import_module(f"srlit.{name}").main()

"""
WINDOWS = "import tests.windows\n" + START
IMPORT_ALL = """
    for module in pkgutil.walk_packages(srlit.__path__, "srlit."):
        importlib.import_module(module.name)
"""
SPAWN = """
    multiprocessing.set_start_method("spawn")
    vars(srlit.data.scan.os).pop("fork", None)
"""
# Photos are checked by processes, however few they are.
TRAIN = """
    srlit.data.scan.SMALL = 0
    command("train", *sys.argv[1:])
    srlit.data.scan.SMALL = 2**24
"""
MEASURE = """
    photos = sys.argv[2].partition("=")[2]
    test = "data=folder", f"data.photos.test_folder={photos}", "data.eval_crop=64"
    command("evaluate", *test, "checkpoints=[runs/a]", "metrics.names=[psnr_rgb_b0]")
    command("upscale", f"input={photos}/00.png", "checkpoint=runs/a")
"""


def python(folder, script, *arguments):
    """Run a script to its end."""
    (folder / "script.py").write_text(script + "    sys.stderr.write('done')\n")
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "script.py", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.endswith("done"), done.stderr


def training(photos, *more):
    return (
        *("data=folder", f"data.photos.train_folder={photos}", "data.photos.holdout=2"),
        *(*TINY_TRAINING, "name=a", "metrics.names=[psnr_rgb_b0]", "paths.cache=null", *more),
        "callbacks.lpips_checkpoint.metric=psnr_rgb_b0",
    )


def rows(runs):
    assert read_record(runs / "a").status == "finished"
    return (runs / "a" / "metrics.csv").read_text()


def test_all_of_srlit_is_imported_without_what_windows_lacks(tmp_path):
    python(tmp_path, WINDOWS + IMPORT_ALL)


def test_trains_evaluates_and_upscales_without_what_windows_lacks(photo_folder, tmp_path):
    arguments = training(photo_folder, "data.workers=1")
    python(tmp_path, WINDOWS + TRAIN + MEASURE, *arguments)
    assert rows(tmp_path / "runs")
    assert Image.open(tmp_path / "upscaled" / "00.png").size == (240, 192)


def test_spawned_processes_train_what_one_process_trains(photo_folder, tmp_path):
    python(tmp_path, START + SPAWN + TRAIN, *training(photo_folder, "data.workers=2"))
    train(compose_config("train", *training(photo_folder, f"paths.runs={tmp_path / 'alone'}")))
    assert rows(tmp_path / "runs") == rows(tmp_path / "alone")


def test_ci_tries_every_system_with_every_python():
    ci = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    matrix = ci["jobs"]["systems"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    named = [text.rpartition(" ")[2] for text in project["classifiers"] if ":: Python ::" in text]
    assert matrix["python"] == named == ["3.11", "3.12", "3.13", "3.14"]

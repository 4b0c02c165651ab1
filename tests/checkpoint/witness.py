"""Opens every file of a folder through every reader and prints what happened.

`python -m tests.checkpoint.witness FOLDER WORK`, in a process of its own, as its audit hook sees
everything that Python does and cannot be removed. Prints a JSON object: reader to file to outcome.
"""

import json
import os
import pickle
import re
import resource
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import torch
from PIL import Image

from tests.checkpoint.attacks import Call
from tests.checkpoint.samples import checkpoint, save
from tests.helpers import TINY, compose_config

# What no refusal does: start something, speak to somebody, load code, change files.
FORBIDDEN = re.compile(
    r"(code|function)\.__new__|compile|exec|import|marshal\.loads|pty\.spawn|shutil\.rmtree"
    r"|os\.(exec|fork|forkpty|mkdir|posix_spawn|putenv|remove|rename|rmdir|spawn|system|truncate)"
    r"|socket\.(bind|connect|getaddrinfo)|subprocess\.Popen|urllib\.Request"
)
# What spandrel's unpickler may look up, as it is what tensors are made of.
TENSORS = ("collections", "torch._utils", "torch")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Witness:
    """Keeps every forbidden event while it is watching."""

    def __init__(self):
        self.watching = False
        self.events = []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.watching and is_forbidden(event, arguments):
            self.events.append(f"{event} {arguments[:1]!r:.200}")

    def watch(self, action):
        """What an action raised, the seconds and the megabytes that it took, and what it did."""
        self.events, error = [], None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.watching, started = True, time.perf_counter()
        try:
            action()
        except BaseException as caught:  # noqa: BLE001 - it is told, whatever it is
            error = caught
        seconds = time.perf_counter() - started
        self.watching = False
        return {
            "error": [kind.__name__ for kind in type(error).__mro__] if error else None,
            "message": str(error),
            "seconds": seconds,
            "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024,
            "events": self.events,
        }


def is_forbidden(event, arguments):
    """Whether no reader of a file should do this."""
    if event == "pickle.find_class":
        return arguments[0] not in TENSORS
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    return bool(writes) or bool(FORBIDDEN.fullmatch(event))


# -- readers -------------------------------------------------------------------------------


def through_upscale(folder):
    from srlit.upscale import upscale

    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    options = (f"input={folder / 'photo.png'}", f"output={folder / 'upscaled'}", "device=cpu")
    cfg = compose_config("upscale", "checkpoint=x", *options, "overwrite=true")

    def enter(path):
        cfg.checkpoint = str(path)
        upscale(cfg)

    return enter


def through_evaluate(folder):
    from srlit.evaluate import build_methods

    cfg = compose_config("evaluate", "device=cpu", "scale=2")

    def enter(path):
        cfg.checkpoints = [str(path)]
        build_methods(cfg)

    return enter


RUN_CONFIG = """
scale: 2
seed: 0
data: {photos: {}}
phase: {val_tile: null}
eval_degradation: {}
metrics: {names: [mae]}
callbacks: {lpips_checkpoint: {metric: mae, minimum: {}, tolerance: {}}}
"""


class LoadedError(Exception):
    """Raised where the photos would be read."""


def through_select(folder):
    from srlit import select

    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(RUN_CONFIG)
    cfg = compose_config("select", f"run={run}", "device=cpu")

    def stop(*_):
        raise LoadedError

    select.validation_data = stop

    def enter(path):
        with suppress(LoadedError):
            select.measure_checkpoints(cfg, [run], None, folder)

    def prepare(path):
        """Only a run's own checkpoints are ranked, so each is put there in turn."""
        for old in (run / "checkpoints").iterdir():
            old.unlink()
        os.link(path, run / "checkpoints" / "iteration_0000001.safetensors")

    enter.prepare = prepare
    return enter


def training(folder):
    from srlit.train import build_data, build_phase

    small = ("model=edsr_small", "model.width=8", "model.blocks=1", *TINY)
    cfg = compose_config("train", *small, f"paths.runs={folder / 'runs'}")
    return cfg, build_phase(cfg), build_data(cfg)


def through_init_from(folder):
    from srlit.train import initialise

    cfg, phase, _ = training(folder)

    def enter(path):
        cfg.init_from = str(path)
        initialise(cfg, phase, None)

    return enter


def through_resume(folder):
    from srlit.train import checkpoint_to_resume, load_for_resume

    cfg, phase, data = training(folder)
    data.setup("fit")
    # So that nothing but the loading stands between a file and this training.
    phase.card = checkpoint()["card"]
    cfg.resume_changes = "any"

    def enter(path):
        cfg.resume = str(path)
        load_for_resume(cfg, checkpoint_to_resume(cfg, Path(cfg.paths.run)), phase, data)

    return enter


def through_lightning(folder):
    from srlit.checkpoint.io import AtomicCheckpointIO

    return lambda path: AtomicCheckpointIO().load_checkpoint(path, weights_only=False)


def through_load_generator(folder):
    from srlit.models.load import load_generator

    return load_generator


READERS = {
    name.removeprefix("through_"): make
    for name, make in globals().items()
    if name.startswith("through_")
}


def outcomes(witness, enter, folder, good):
    """What happens to every file at one reader."""
    found = {}
    prepare = getattr(enter, "prepare", lambda path: None)
    for path in good:  # imports what is imported on first use
        with suppress(ValueError):
            prepare(path)
            enter(path)
    for path in (good[0], *sorted(folder.iterdir())):
        prepare(path)
        found[path.name] = witness.watch(lambda path=path: enter(path))
    return found


def harmless_files(work):
    """A checkpoint, and files of other kinds."""
    weights = {"a": torch.ones(1)}
    torch.save(weights, work / "zip.pth")
    torch.save(weights, work / "legacy.pth", _use_new_zipfile_serialization=False)
    (work / "text.pth").write_text("hello")
    names = ("zip.pth", "legacy.pth", "text.pth")
    return [save(work / "harmless.safetensors"), *(work / name for name in names)]


def main():
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    good = harmless_files(work)
    import_module("srlit.models.patchgan")  # which a card names
    witness = Witness()
    readers = {name: make(work) for name, make in READERS.items()}
    found = {name: outcomes(witness, enter, folder, good) for name, enter in readers.items()}
    code = pickle.dumps(Call(os.system, "true"))
    sys.stdout.write(json.dumps(found | {"pickle": witness.watch(lambda: pickle.loads(code))}))


if __name__ == "__main__":
    main()

"""Opens every checkpoint of a folder through every entry point and tells what happened.

`python -m tests.checkpoint.witness FOLDER WORK`, in a process of its own, as its audit hook sees
everything that Python does and cannot be removed. Prints a JSON object: entry point to file to
outcome.
"""

import json
import os
import pickle
import resource
import sys
import time
from pathlib import Path

from PIL import Image

from tests.checkpoint.malicious import Call, harmless
from tests.helpers import TINY, compose_config

# What no refusal does: start something, speak to somebody, load code, change files.
FORBIDDEN = {
    "code.__new__",
    "compile",
    "exec",
    "function.__new__",
    "import",
    "marshal.loads",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.mkdir",
    "os.posix_spawn",
    "os.putenv",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.spawn",
    "os.system",
    "os.truncate",
    "pickle.find_class",
    "pty.spawn",
    "shutil.rmtree",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "urllib.Request",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Witness:
    """Keeps every forbidden event while it is watching."""

    def __init__(self):
        self.watching = False
        self.events = []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if not self.watching:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if writes or event in FORBIDDEN:
            self.events.append(f"{event} {arguments[:1]!r:.200}")

    def watch(self, action):
        """What an action raised, how long it took, how much memory more, and what it did."""
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


# -- entry points -------------------------------------------------------------------------------


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
    from srlit.evaluate import build_methods, network_loader

    cfg = compose_config("evaluate", "device=cpu", "scale=2")

    def enter(path):
        cfg.checkpoints = [str(path)]
        build_methods(cfg, network_loader(cfg))

    return enter


def through_select(folder):
    from srlit.select import load_checkpoints

    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    cfg = compose_config("select", f"run={run}", "device=cpu")

    def enter(path):
        load_checkpoints(cfg, run)

    def prepare(path):
        """Only a run's own checkpoints are ranked, so each is put there in turn."""
        for old in (run / "checkpoints").iterdir():
            old.unlink()
        os.link(path, run / "checkpoints" / "iteration_0000001.ckpt")

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
        initialise(cfg, phase)

    return enter


def through_resume(folder):
    from srlit.train import checkpoint_to_resume, load_for_resume

    cfg, phase, data = training(folder)
    data.setup("fit")
    # So that nothing but the loading stands between a file and this training.
    phase.card = harmless()["card"]
    data.load_state_dict = lambda state: None

    def enter(path):
        cfg.resume = str(path)
        load_for_resume(checkpoint_to_resume(cfg, Path(cfg.paths.run)), phase, data)

    return enter


def through_lightning(folder):
    from srlit.checkpoint.io import AtomicCheckpointIO

    return lambda path: AtomicCheckpointIO().load_checkpoint(path, weights_only=False)


def through_load_generator(folder):
    from srlit.config import load_generator

    return load_generator


ENTRIES = {
    name.removeprefix("through_"): make
    for name, make in globals().items()
    if name.startswith("through_")
}


def tell(witness, enter, folder, good):
    """What happens to every file at one entry point."""
    found = {}
    prepare = getattr(enter, "prepare", lambda path: None)
    prepare(good)
    enter(good)  # imports what is imported on first use
    for path in (good, *sorted(folder.glob("*.ckpt"))):
        prepare(path)
        found[path.stem] = witness.watch(lambda path=path: enter(path))
    return found


def main():
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    import torch

    torch.set_num_threads(1)
    good = work / "harmless.ckpt"
    torch.save(harmless(), good)
    "".encode("cp437")  # the codec of names in zip archives, which Python loads on first use
    witness = Witness()
    entries = {name: make(work) for name, make in ENTRIES.items()}
    found = {name: tell(witness, enter, folder, good) for name, enter in entries.items()}
    code = pickle.dumps(Call(os.system, "true"))
    print(json.dumps(found | {"pickle": witness.watch(lambda: pickle.loads(code))}))


if __name__ == "__main__":
    main()

"""Files that want to run code, each written by a function of its path and of a file to touch.

Pickles of every opcode that calls or imports something, in every container that `torch.load` knows;
and checkpoints in srlit's format, with a right digest, whose cards name what to build.
"""

import collections
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from tests.checkpoint.samples import MODEL, save

Attack = Callable[[Path, Path], None]


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def text(witness):
    return f"S'touch {witness}'\n".encode()


# -- pickles ------------------------------------------------------------------------------------

STREAMS = {
    "reduce": lambda w: b"cos\nsystem\n(" + text(w) + b"tR.",
    "inst": lambda w: b"(" + text(w) + b"ios\nsystem\n.",
    "obj": lambda w: b"(cos\nsystem\n" + text(w) + b"o.",
    "newobj": lambda w: b"\x80\2cos\nsystem\n" + text(w) + b"\x85\x81.",
    "stack_global": lambda w: pickle.dumps(Call(os.system, f"touch {w}"), protocol=4),
    "global": lambda w: b"cantigravity\nfly\n.",
    "persistent_id": lambda w: b"Pos.system\n.",
    "binary_persistent_id": lambda w: b"(cos\nsystem\n" + text(w) + b"tQ.",
    "extension": lambda w: b"\x80\2\x82\x01.",
    "getattr": lambda w: pickle.dumps(Call(getattr, Call(__import__, "os"), "system")),
    "loads": lambda w: pickle.dumps(Call(pickle.loads, b"cos\nsystem\n(" + text(w) + b"tR.")),
    "build": lambda w: pickle.dumps(
        Call(collections.UserDict, state={"data": Call(os.system, f"touch {w}")})
    ),
    "weights": lambda w: pickle.dumps({"params": {"a": Call(os.system, f"touch {w}")}}, protocol=2),
    "card": lambda w: pickle.dumps({"card": {"model": Call(eval, "1")}}, protocol=2),
}


def bare(path, stream):
    path.write_bytes(stream)


def legacy(path, stream):
    """As PyTorch before 1.6: magic number, version, system, content, keys."""
    parts = (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {})
    path.write_bytes(b"".join(pickle.dumps(p, protocol=2) for p in parts) + stream + b"].")


def tar(path, stream):
    """As PyTorch in 2016."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            member = tarfile.TarInfo(name)
            member.size = len(stream)
            archive.addfile(member, io.BytesIO(stream))


def archive(path, stream, **more):
    """As PyTorch since 1.6."""
    members = {"data.pkl": stream, "version": b"3\n", "byteorder": b"little"} | more
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"archive/{name}", content)


def torchscript(path, stream):
    code = {"constants.pkl": stream, "code/__torch__.py": b"import os\n"}
    archive(path, stream, **code)


CONTAINERS = (bare, legacy, tar, archive, torchscript)


# -- cards --------------------------------------------------------------------------------------

CARDS = {
    "os_system": {"_target_": "os.system", "command": "COMMAND"},
    "eval": {"_target_": "builtins.eval", "source": "COMMAND"},
    "popen": {"_target_": "subprocess.Popen", "args": "COMMAND", "shell": True},
    "torch_hub": {"_target_": "torch.hub.load", "repo_or_dir": "x", "model": "x"},
    "import": {"_target_": "antigravity.fly"},
    "alias": {"_target_": "srlit.models.edsr.nn.modules.module.os.system"},
    "function": {"_target_": "srlit.config.build", "node": {"_target_": "os.system"}},
    "instantiate": {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.system"}},
    "data": {"_target_": "srlit.data.datamodule.PhotoDataModule"},
    "discriminator": {"_target_": "srlit.models.patchgan.PatchGAN"},
    "number": {"_target_": 7},
    "none": {"scale": 2},
    "nested": MODEL | {"width": {"_target_": "os.system", "command": "COMMAND"}},
    "listed": MODEL | {"width": [{"_target_": "builtins.eval"}]},
    "partial": MODEL | {"_partial_": True},
    "args": MODEL | {"_args_": [2]},
    "file": {"_target_": "srlit.models.spandrel.Spandrel", "scale": 2, "file": "/etc/passwd"},
    "width_of_a_billion": MODEL | {"width": 10**9},
    "width_of_2_to_the_63": MODEL | {"width": 2**63},
    "blocks_of_a_billion": MODEL | {"blocks": 10**9},
    "scale_of_a_million": MODEL | {"scale": 10**6},
    "width_of_text": MODEL | {"width": "8"},
}


def write_all(folder: Path, witness: Path) -> None:
    """Write every attack into a folder."""
    folder.mkdir()
    for name, make in STREAMS.items():
        for container in CONTAINERS:
            container(folder / f"{name}_{container.__name__}.pth", make(witness))
    for name, model in CARDS.items():
        known = {k: f"touch {witness}" if v == "COMMAND" else v for k, v in model.items()}
        save(folder / f"card_{name}.safetensors", card={"model": known, "name": "x"})

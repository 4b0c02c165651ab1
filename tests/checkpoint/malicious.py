"""Checkpoints that want to run code, to fill the memory, or never to end.

Each is a function that writes one file; what it runs, if it runs, leaves a witness.
"""

import builtins
import collections
import copy
import functools
import gzip
import importlib
import io
import marshal
import operator
import os
import pickle
import random
import struct
import subprocess
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from srlit.models.edsr import EDSR

MODEL = {"_target_": "srlit.models.edsr.EDSR", "scale": 2, "width": 8, "blocks": 1}
DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.bool, torch.complex64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)
CORPUS: dict[str, Callable[[Path, Path], None]] = {}

# What is data wherever no network is built from the card: it must run nothing, not be refused.
INERT_WITHOUT_BUILDING: set[str] = set()


def harmless(**more):
    torch.manual_seed(0)
    weights = EDSR(scale=2, width=8, blocks=1).state_dict()
    return {
        "epoch": 0,
        "global_step": 3,
        "pytorch-lightning_version": "2.6.4",
        "state_dict": {f"generator.{name}": value for name, value in weights.items()},
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        "PhotoDataModule": {"photos": 2, "sha256": "0" * 64},
        "iteration": 3,
        "validated": 3,
        "running_means": {"sums": {}, "counts": {}},
        "finite_check": {},
        "card": {"model": MODEL, "name": "tiny", "label": "tiny", "scale": 2, "training": {}},
    } | more


def write_corpus(folder, witness):
    folder.mkdir()
    with warnings.catch_warnings(action="ignore"):  # PyTorch and zipfile find some of it odd
        for name, write in CORPUS.items():
            write(folder / f"{name}.ckpt", witness)


def kind(write):
    CORPUS[write.__name__] = write
    return write


# -- code ---------------------------------------------------------------------------------------


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced

    def __call__(self):
        """What it stands for is called; pickle wants to see that it can be."""


def touch(witness):
    return f"touch {witness}"


def python(witness):
    return f"open({str(witness)!r}, 'w').close()"


GADGETS = {
    "os_system": lambda w: Call(os.system, touch(w)),
    "os_popen": lambda w: Call(os.popen, touch(w)),
    "os_execv": lambda w: Call(os.execv, "/bin/touch", ["touch", str(w)]),
    "os_mkdir": lambda w: Call(os.mkdir, str(w)),
    "popen": lambda w: Call(subprocess.Popen, ["touch", str(w)]),
    "check_output": lambda w: Call(subprocess.check_output, touch(w), -1),
    "eval": lambda w: Call(eval, python(w)),
    "exec": lambda w: Call(exec, python(w)),
    "open": lambda w: Call(open, str(w), "w"),
    "getattr": lambda w: Call(getattr, Call(importlib.import_module, "os"), "system"),
    "import_module": lambda w: Call(importlib.import_module, "antigravity"),
    "builtin_import": lambda w: Call(builtins.__import__, "antigravity"),
    "nested_loads": lambda w: Call(pickle.loads, pickle.dumps(Call(os.system, touch(w)))),
    "torch_load": lambda w: Call(
        torch.load,
        Call(io.BytesIO, pickle.dumps(Call(os.system, touch(w)))),
        None,
        Call(importlib.import_module, "pickle"),
    ),
    "torch_hub": lambda w: Call(torch.hub.load, str(w.parent), "model", "local"),
    "partial": lambda w: Call(functools.partial(os.system, touch(w))),
    "reduced_partial": lambda w: Call(functools.reduce, os.system, [touch(w)]),
    "attrgetter": lambda w: Call(
        operator.attrgetter("system"), Call(importlib.import_module, "os")
    ),
    "methodcaller": lambda w: Call(operator.methodcaller("touch"), w),
    "function": lambda w: Call(
        Call(
            Call(getattr, Call(importlib.import_module, "types"), "FunctionType"),
            Call(marshal.loads, marshal.dumps(compile(python(w), "x", "exec"))),
            {},
        )
    ),
    "setstate": lambda w: Call(collections.UserDict, state={"data": Call(os.system, touch(w))}),
    "numpy_reconstruct": lambda w: np.array([Call(os.system, touch(w))], dtype=object),
    "numpy_load": lambda w: Call(np.load, str(w), "r", True),
    "ordered_dict": lambda w: Call(collections.OrderedDict, [("x", Call(os.system, touch(w)))]),
    "default_dict": lambda w: collections.defaultdict(os.getcwd, x=Call(os.system, touch(w))),
    "module": lambda w: torch.nn.Linear(1, 1),
    "bytearray_of_a_terabyte": lambda w: Call(bytearray, 10**12),
    "storage_of_a_terabyte": lambda w: Call(torch.UntypedStorage, 10**12),
}


def _gadget(name, make, place):
    def write(path, witness):
        torch.save(place(make(witness)), path)

    CORPUS[name] = write


for _name, _make in GADGETS.items():
    _gadget(f"gadget_{_name}", _make, lambda gadget: harmless(extra=gadget))
for _place, _put in {
    "root": lambda gadget: gadget,
    "card": lambda gadget: harmless(card={"model": MODEL | {"width": gadget}}),
    "weights": lambda gadget: harmless(state_dict={"generator.stem.weight": gadget}),
    "average": lambda gadget: harmless(callbacks={"EMA": {"averaged": {"stem.weight": gadget}}}),
    "rows": lambda gadget: harmless(callbacks={"LPIPSCheckpoint": {"rows": [{"a": (gadget,)}]}}),
    "iteration": lambda gadget: harmless(iteration=gadget),
}.items():
    _gadget(f"gadget_in_{_place}", GADGETS["os_system"], _put)


# -- other formats ------------------------------------------------------------------------------


@kind
def legacy_pickle(path, witness):
    path.write_bytes(pickle.dumps(harmless(extra=Call(os.system, touch(witness)))))


@kind
def legacy_pickle_of_text(path, witness):
    path.write_bytes(f"cos\nsystem\n(S'{touch(witness)}'\ntR.".encode())


@kind
def legacy_torch(path, witness):
    gadget = harmless(extra=Call(os.system, touch(witness)))
    torch.save(gadget, path, _use_new_zipfile_serialization=False)


@kind
def legacy_tar(path, witness):
    payload = pickle.dumps(Call(os.system, touch(witness)))
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            member = tarfile.TarInfo(name)
            member.size = len(payload)
            archive.addfile(member, io.BytesIO(payload))


def write_archive(path, stream, members=None):
    """An archive as PyTorch writes it, of any opcodes and further members."""
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, content in ({"data.pkl": stream} | (members or {})).items():
        writer.write_record(name, content, len(content))
    writer.write_end_of_file()


def opcodes_of(tree):
    """The opcodes of a tree, and the storages it refers to."""
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    with zipfile.ZipFile(buffer) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
        content = {name: archive.read(f"archive/{name}") for name in names}
    storages = {name: value for name, value in content.items() if name.startswith("data/")}
    return content["data.pkl"], storages


@kind
def torchscript(path, witness):
    stream, storages = opcodes_of(harmless())
    code = f"def forward(self, x):\n  return {python(witness)}\n".encode()
    write_archive(path, stream, storages | {"constants.pkl": stream, "code/__torch__.py": code})


@kind
def torch_package(path, witness):
    stream, _ = opcodes_of(harmless(extra=Call(os.system, touch(witness))))
    extra = {".data/extern_modules": b"os\n", "model/model.pkl": stream}
    write_archive(path, stream, extra)


@kind
def empty(path, witness):
    path.write_bytes(b"")


@kind
def text(path, witness):
    path.write_text("hello")


@kind
def noise(path, witness):
    path.write_bytes(b"PK\3\4" + random.Random(0).randbytes(10_000))


@kind
def compressed(path, witness):
    torch.save(harmless(), path)
    path.write_bytes(gzip.compress(path.read_bytes()))


# -- zip archives -------------------------------------------------------------------------------


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    """An archive of zipfile's, with the ending that PyTorch writes."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
        count, start = len(archive.infolist()), archive.fp.tell()
    content = bytearray(path.read_bytes()[:-22])
    start = archive.start_dir
    path.write_bytes(bytes(content) + ending(count, start, len(content) - start))


def ending(count, start, length):
    end = start + length
    return (
        struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 30, 45, 0, 0, count, count, length, start)
        + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, *[min(count, 0xFFFF)] * 2, length, start, 0)
    )


def members_of(tree):
    stream, storages = opcodes_of(tree)
    named = {"data.pkl": stream, "byteorder": b"little"} | storages | {"version": b"3\n"}
    return [(f"archive/{name}", content) for name, content in named.items()]


@kind
def zip_bomb(path, witness):
    bomb = ("archive/data/99", bytes(1 << 26))
    write_zip(path, [*members_of(harmless()), bomb], zipfile.ZIP_DEFLATED)


@kind
def zip_bomb_of_opcodes(path, witness):
    write_zip(path, [("archive/data.pkl", b"\x80\2" + b"N" * (1 << 26))], zipfile.ZIP_DEFLATED)


@kind
def zip_in_zip(path, witness):
    torch.save(harmless(extra=Call(os.system, touch(witness))), path)
    write_zip(path, [*members_of(harmless()), ("archive/inner.ckpt", path.read_bytes())])


@kind
def zip_that_climbs(path, witness):
    write_zip(path, [*members_of(harmless()), (f"archive/../../{witness.name}", b"x")])


@kind
def zip_with_a_cut_name(path, witness):
    members = members_of(harmless())
    write_zip(path, [*members, ("archive/data/9Xevil", b"x")])
    path.write_bytes(path.read_bytes().replace(b"9Xevil", b"9\0evil"))


@kind
def zip_with_a_member_twice(path, witness):
    stream, _ = opcodes_of(Call(os.system, touch(witness)))
    write_zip(path, [*members_of(harmless()), ("archive/data.pkl", stream)])


@kind
def zip_with_two_roots(path, witness):
    stream, _ = opcodes_of(Call(os.system, touch(witness)))
    write_zip(path, [*members_of(harmless()), ("other/version", stream)])


@kind
def zip_with_two_directories(path, witness):
    """One reader goes by the end of the file, another by the offset that stands there."""
    torch.save(harmless(), path)
    path.write_bytes(path.read_bytes() + path.read_bytes())


@kind
def zip_with_trailing_bytes(path, witness):
    torch.save(harmless(), path)
    path.write_bytes(path.read_bytes() + b"PK\5\6")


@kind
def zip_claiming_a_gigabyte(path, witness):
    """The list of members says that data.pkl has 1 GiB."""
    write_zip(path, sorted(members_of(harmless()), key=lambda member: "data.pkl" in member[0]))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[entry + 20 : entry + 28] = struct.pack("<II", 1 << 30, 1 << 30)
    path.write_bytes(bytes(content))


@kind
def zip_with_overlapping_members(path, witness):
    write_zip(path, members_of(harmless()))
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(bytes(content))


@kind
def zip_of_very_many_members(path, witness):
    length = 400_000
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", *[0] * 9, 1, *[0] * 6) + b"x"
    path.write_bytes(entry * length + ending(length, 0, len(entry) * length))


@kind
def truncated(path, witness):
    torch.save(harmless(), path)
    path.write_bytes(path.read_bytes()[:-100])


@kind
def wrong_byteorder(path, witness):
    stream, storages = opcodes_of(harmless())
    write_archive(path, stream, storages | {"byteorder": b"middle"})


# -- tensors ------------------------------------------------------------------------------------


def rebuilt(size, stride, offset=0, storage=None):
    storage = torch.zeros(4).untyped_storage() if storage is None else storage
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    hooks = collections.OrderedDict()
    return Call(torch._utils._rebuild_tensor_v2, typed, offset, size, stride, False, hooks)


TENSORS = {
    "repeated_a_trillion_times": lambda: torch.zeros(1).expand(10**6, 10**6),
    "of_a_trillion_elements": lambda: rebuilt((10**12,), (1,)),
    "of_2_to_the_62": lambda: rebuilt((2**62, 8), (8, 1)),
    "of_negative_size": lambda: rebuilt((-4,), (1,)),
    "of_negative_stride": lambda: rebuilt((4,), (-1,)),
    "of_negative_offset": lambda: rebuilt((4,), (1,), -4),
    "beyond_its_storage": lambda: rebuilt((4,), (1,), 3),
    "of_very_many_dimensions": lambda: rebuilt((0,) * 10_000, (1,)),
    "of_no_shape": lambda: rebuilt("four", None),
    "on_meta": lambda: torch.empty(10**12, device="meta"),
    "sparse": lambda: torch.sparse_coo_tensor([[0]], [1.0], (10**12,)),
    "sparse_rows": lambda: torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 10**12)),
}
for _name, _make in TENSORS.items():
    _gadget(
        f"tensor_{_name}",
        lambda _, make=_make: make(),
        lambda tensor: harmless(state_dict=harmless()["state_dict"] | {"generator.more": tensor}),
    )


@kind
def storage_longer_than_its_member(path, witness):
    """PyTorch would read what lies behind it in the memory."""
    tensor = torch.arange(1000, dtype=torch.float32)
    stream, storages = opcodes_of(harmless(extra=tensor))
    member = next(name for name, content in storages.items() if len(content) == tensor.nbytes)
    write_archive(path, stream, storages | {member: bytes(4)})


@kind
def storage_that_is_missing(path, witness):
    stream, storages = opcodes_of(harmless())
    write_archive(path, stream, dict([*storages.items()][1:]))


# -- trees --------------------------------------------------------------------------------------


@kind
def nested_deeply(path, witness):
    write_archive(path, b"\x80\2" + b"]" * 100_000 + b"a" * 99_999 + b".")


@kind
def billion_laughs(path, witness):
    laughs = []
    for _ in range(64):
        laughs = [laughs, laughs]
    torch.save(harmless(extra=laughs), path)


@kind
def billion_laughs_in_the_card(path, witness):
    laughs = {}
    for _ in range(28):
        laughs = {"a": laughs, "b": laughs}
    torch.save(harmless(card={"model": MODEL, "name": "x", "training": laughs}), path)


@kind
def list_of_itself(path, witness):
    itself = []
    itself.append(itself)
    torch.save(harmless(extra=itself), path)


@kind
def key_whose_hash_takes_forever(path, witness):
    """A tuple of two times the same tuple, and so on: its hash visits 2^64 tuples."""
    write_archive(path, b"\x80\2})" + b"q\0h\0\x86" * 64 + b"Ns.")


@kind
def key_whose_hash_is_deep(path, witness):
    write_archive(path, b"\x80\2})" + b"\x85" * 200_000 + b"Ns.")


@kind
def storage_whose_key_takes_forever(path, witness):
    start = b"\x80\2(X\7\0\0\0storagectorch\nFloatStorage\n)" + b"q\0h\0\x86" * 64
    write_archive(path, start + b"X\3\0\0\0cpuK\1tQ.")


@kind
def keys_that_collide(path, witness):
    """Numbers with one hash: each is compared with all before it."""
    numbers = ((i * (2**61 - 1)).to_bytes(10, "little", signed=True) for i in range(60_000))
    write_archive(path, b"\x80\2}(" + b"".join(b"\x8a\x0a" + n + b"N" for n in numbers) + b"u.")


@kind
def endless_opcodes(path, witness):
    write_archive(path, b"\x80\2](" + b"N" * (8 << 20) + b"e.")


def text_opcodes(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


@kind
def attributes_set_over_and_over(path, witness):
    """A large dict becomes the attributes of another one, 100,000 times."""
    entries = b"".join(text_opcodes(str(i)) + b"N" for i in range(100_000))
    state = b"}q\0(" + entries + b"u"
    ordered = b"ccollections\nOrderedDict\n)R"
    write_archive(path, b"\x80\2](" + state + ordered + b"h\0b" * 100_000 + b"e.")


@kind
def dict_counted_over_and_over(path, witness):
    entries = b"".join(text_opcodes(str(i)) + b"K\1" for i in range(100_000))
    arguments = b"}(" + entries + b"u\x85q\0"
    counter = b"ccollections\nCounter\nq\1h\0R"
    write_archive(path, b"\x80\2](" + arguments + counter + b"h\1h\0R" * 50_000 + b"e.")


@kind
def very_many_tensors(path, witness):
    """Nearly all the opcodes that are allowed, and none of them wrong until the end."""
    stream, storages = opcodes_of(torch.zeros(1))
    again = b"ctorch._utils\n_rebuild_tensor_v2\nq\x0b"
    reference = stream[stream.index(b"((") + 1 : stream.index(b"Q") + 1]
    start = b"\x80\2](" + again + b"(" + reference + b"K\0))\x89}tq\x0c"
    write_archive(path, start + b"h\x0bh\x0cR" * 160_000 + b"e.", storages)


@kind
def opcodes_without_a_stack(path, witness):
    write_archive(path, b"\x80\2Ruse.")


@kind
def get_of_nothing(path, witness):
    write_archive(path, b"\x80\2h\5.")


@kind
def protocol_4(path, witness):
    write_archive(path, pickle.dumps(harmless(state_dict={}), protocol=4))


@kind
def dict_with_own_methods(path, witness):
    """PyTorch's unpickler sets attributes of an OrderedDict."""
    shadowed = collections.OrderedDict(harmless()["state_dict"])
    shadowed.copy = "none"
    torch.save(harmless(state_dict=shadowed), path)


for _name, _content in {
    "card_of_text": {"card": "srlit"},
    "card_of_lists": {"card": [["model", MODEL]]},
    "card_without_model": {"card": {"name": "tiny"}},
    "card_of_tensors": {"card": {"model": MODEL | {"width": torch.ones(3)}}},
    "card_of_a_million": {"card": {"model": MODEL, "list": [0] * 100_000}},
    "card_with_huge_number": {"card": {"model": MODEL | {"width": 2**5000}}},
    "card_with_numbers_as_keys": {"card": {"model": MODEL, 7: 7}},
    "iteration_of_text": {"iteration": "three"},
    "iteration_below_zero": {"iteration": -1},
    "weights_in_a_list": {"state_dict": [1, 2]},
    "weights_of_text": {"state_dict": {"generator.stem.weight": "x"}},
    "average_of_text": {"callbacks": {"EMA": "x"}},
    "average_without_weights": {"callbacks": {"EMA": {"seen": 1}}},
    "callbacks_in_a_list": {"callbacks": [1]},
    "optimizers_of_text": {"optimizer_states": "x"},
    "validation_of_text": {"validated": "three"},
    "sums_of_text": {"running_means": {"sums": {"loss": "x"}, "counts": {}}},
    "verdicts_of_text": {"finite_check": {"generator": "x"}},
    "photos_of_text": {"PhotoDataModule": "x"},
    "instantiator": {
        "hyper_parameters": {"_instantiator": "os.system", "command": "touch executed"},
    },
    "instantiator_of_data": {"datamodule_hyper_parameters": {"_instantiator": "builtins.eval"}},
    "hyper_parameters_with_target": {"hyper_parameters": {"_target_": "os.system"}},
}.items():
    _gadget(_name, lambda _, content=_content: content, lambda content: harmless(**content))


# -- configurations in the card -----------------------------------------------------------------


def _card(name, change):
    def write(path, witness):
        text = {"command": touch(witness), "source": python(witness), "path": str(witness)}
        model = {k: text.get(v, v) if isinstance(v, str) else v for k, v in change.items()}
        card = copy.deepcopy(harmless()["card"]) | {"model": model}
        torch.save(harmless(card=card), path)

    CORPUS[f"card_{name}"] = write
    INERT_WITHOUT_BUILDING.add(f"card_{name}")


for _name, _change in {
    "target_os_system": {"_target_": "os.system", "command": "command"},
    "target_posix_system": {"_target_": "posix.system", "command": "command"},
    "target_eval": {"_target_": "builtins.eval", "_args_": ["source"]},
    "target_exec": {"_target_": "builtins.exec", "_args_": ["source"]},
    "target_popen": {"_target_": "subprocess.Popen", "args": "command", "shell": True},
    "target_torch_load": {"_target_": "torch.load", "f": "path", "weights_only": False},
    "target_torch_hub": {"_target_": "torch.hub.load", "repo_or_dir": "path", "model": "x"},
    "target_get_method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
    "target_instantiate": {
        "_target_": "hydra.utils.instantiate",
        "config": {"_target_": "os.system", "command": "command"},
    },
    "target_lightning": {"_target_": "lightning.pytorch.Trainer"},
    "target_alias": {"_target_": "srlit.models.edsr.nn.modules.module.os.system"},
    "target_srlit_function": {"_target_": "srlit.config.build", "node": {"_target_": "os.system"}},
    "target_photos": {"_target_": "srlit.data.image_folder.FolderPhotos", "train_folder": "/"},
    "target_data_module": {"_target_": "srlit.data.datamodule.PhotoDataModule"},
    "target_discriminator": {"_target_": "srlit.models.patchgan.PatchGAN", "layers": 10**9},
    "target_number": {"_target_": 7},
    "target_list": {"_target_": ["srlit.models.edsr.EDSR"]},
    "target_missing": {"scale": 2},
    "target_nested": MODEL | {"width": {"_target_": "os.system", "command": "touch executed"}},
    "target_nested_in_list": MODEL | {"width": [{"_target_": "builtins.eval"}]},
    "partial": MODEL | {"_partial_": True},
    "args": MODEL | {"_args_": [2]},
    "recursive": MODEL | {"_recursive_": False, "_convert_": "all"},
    "instantiator_key": MODEL | {"_instantiator": "os.system"},
    "width_of_a_billion": MODEL | {"width": 10**9},
    "width_of_2_to_the_63": MODEL | {"width": 2**63},
    "blocks_of_a_billion": MODEL | {"blocks": 10**9},
    "scale_of_a_million": MODEL | {"scale": 10**6},
    "width_below_zero": MODEL | {"width": -8},
    "width_of_text": MODEL | {"width": "8"},
    "unet_of_a_billion_blocks": {
        "_target_": "srlit.models.unet.UNet",
        "scale": 2,
        "width": 8,
        "head_blocks": 10**9,
    },
    "unet_without_reduction": {"_target_": "srlit.models.unet.UNet", "scale": 2, "se_ratio": 0},
}.items():
    _card(_name, _change)

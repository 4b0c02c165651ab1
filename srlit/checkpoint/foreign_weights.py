"""Weights that other projects stored: `.pth`, `.pt`, `.ckpt` and `.safetensors`, never as code."""

import io
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from srlit.checkpoint.messages import printable

# Under which names other projects store a network's weights; an EMA first.
WRAPPERS = ("params_ema", "params-ema", "params", "model_state_dict", "state_dict")
PARALLEL = "module."  # what torch's DataParallel puts before each name


def load_pickled(path: Path) -> object:
    """Read what `torch.save` wrote, of any version of PyTorch; no code in the file is run.

    Raises:
        Exception: of many kinds; the file is damaged, or holds more than plain data.
    """
    with path.open("rb") as file:
        if file.read(2) == b"PK":  # since PyTorch 1.6; may hold TorchScript, which is code
            return torch.load(path, map_location="cpu", weights_only=True)
    # From memory, as PyTorch would unpack an archive of 2016 into files.
    content = path.read_bytes()
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError:  # it names what PyTorch does not list
        from spandrel.__helpers.unpickler import RestrictedUnpickle

        return torch.load(io.BytesIO(content), map_location="cpu", pickle_module=RestrictedUnpickle)


def unwrap(loaded: object, bytes_in_file: int) -> dict[str, Tensor]:
    """The table of tensors in what another project stored; the EMA where there are several.

    Raises:
        ValueError: there is none.
    """
    tables = [loaded.get(name) for name in WRAPPERS] if isinstance(loaded, dict) else []
    # A name may be there for nothing, such as an EMA that was not kept.
    weights: Any = next(filter(_is_table, tables), loaded)
    if not _is_table(weights):
        keys = ", ".join(k for k in loaded if type(k) is str) if isinstance(loaded, dict) else ""
        raise ValueError(
            "not an srlit checkpoint: no 'card' describes its model, and no table "
            f"of tensors, bare or as {' or '.join(WRAPPERS)}; came {printable(keys) or 'no table'}"
        )
    if bytes_of(weights) > bytes_in_file:
        raise ValueError(f"tensors of {bytes_of(weights)} bytes in a file of {bytes_in_file}")
    if all(name.startswith(PARALLEL) for name in weights):
        return {name.removeprefix(PARALLEL): weight for name, weight in weights.items()}
    return dict(weights)


def bytes_of(weights: Mapping[str, Tensor]) -> int:
    """Memory that tensors take; those that share it are counted once."""
    storages = (weight.untyped_storage() for weight in weights.values())
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_is_weight, value, value.values()))


def _is_weight(name: object, value: object) -> bool:
    """Whether this is a named, dense tensor."""
    if type(name) is not str or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and value.device.type == "cpu"

"""Weights that other projects stored: `.pth`, `.pt`, `.ckpt` and `.safetensors`, never as code."""

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple

import torch
from torch import Tensor

from srlit.checkpoint.messages import printable

# What projects call a network and its weights, alone or joined: netG, net_d, model_state_dict.
NETWORK = re.compile(
    r"(?:net|network|model|module|generator|gen|g|discriminator|disc|d|sr|params|weights|state|"
    r"dict|online|ema|swa|avg|averaged?|shadow|[_.-])+",
    re.IGNORECASE,
)
AVERAGED = re.compile(r"(?<![a-z])(?:ema|swa|avg|averaged?|shadow)(?![a-z])", re.IGNORECASE)
# What PyTorch puts into the names of compiled, sharded and recomputed modules, anywhere.
INSERTED = re.compile(r"(?<![^.])_(?:orig_mod|fsdp_wrapped_module|checkpoint_wrapped_module)\.")
MAX_KEYS, MAX_PREFIXES, MAX_TABLES = 4, 4, 32

Weights = dict[str, Tensor]


class Table(NamedTuple):
    """A table of tensors that may be a network's.

    Attributes:
        path: the keys that lead to it, then the prefixes that its names had.
        weights: the tensors by name.
    """

    path: tuple[str, ...]
    weights: Weights

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Averages first, then what is called a network, then what is least wrapped."""
        averages = sum(bool(AVERAGED.search(name)) for name in self.path)
        return -averages, not all(map(NETWORK.fullmatch, self.path)), len(self.path)


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


def tables_in(loaded: object, bytes_in_file: int) -> list[Table]:
    """The tables in what another project stored, the likeliest network first.

    Raises:
        ValueError: there is none, or one takes more memory than the file.
    """
    stored = list(_stored_tables(loaded, (), set()))
    if not stored:
        keys = ", ".join(k for k in loaded if type(k) is str) if isinstance(loaded, dict) else ""
        raise ValueError(
            "not an srlit checkpoint: no 'card' describes its model, and no table "
            f"of tensors within {MAX_KEYS} keys; came {printable(keys) or 'no table'}"
        )
    for _, weights in stored:
        if bytes_of(weights) > bytes_in_file:
            raise ValueError(f"tensors of {bytes_of(weights)} bytes in a file of {bytes_in_file}")
    found = [table for each in stored for table in _without_prefixes(each, MAX_PREFIXES)]
    return sorted(found, key=lambda table: table.rank)[:MAX_TABLES]


def _stored_tables(node: object, path: tuple[str, ...], seen: set[int]) -> Iterator[Table]:
    """The tables below a node, each dict once, as a file's may contain themselves."""
    if not isinstance(node, dict) or id(node) in seen:
        return
    seen.add(id(node))
    if _is_table(node):
        yield Table(path, {INSERTED.sub("", name): weight for name, weight in node.items()})
    elif len(path) < MAX_KEYS:
        for key, value in node.items():
            if type(key) is str:
                yield from _stored_tables(value, (*path, key), seen)


def _without_prefixes(table: Table, more: int) -> Iterator[Table]:
    """A table, without counters if it has any, and without each prefix that wraps a network."""
    path, weights = table
    yield table
    counted = {name: w for name, w in weights.items() if "." in name or w.ndim}
    if 0 < len(counted) < len(weights):
        yield Table(path, counted)
    groups: defaultdict[str, Weights] = defaultdict(dict)
    for name, weight in weights.items():
        prefix, _, rest = name.partition(".")
        if rest:
            groups[prefix][rest] = weight
    for prefix, group in groups.items() if more else ():
        if len(group) == len(counted) or NETWORK.fullmatch(prefix):
            yield from _without_prefixes(Table((*path, prefix), group), more - 1)


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

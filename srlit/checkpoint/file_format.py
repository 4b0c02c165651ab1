"""A checkpoint as one safetensors file: tensors are its entries, the rest is JSON in its header.

The header's metadata holds two texts. `srlit` is a JSON tree in which `{"$tensor": NAME}` stands
for an entry, with `$channels_last` for one of that memory format. `srlit_sha256` is the SHA-256 of
the whole file, computed with zeros in place of its own 64 digits, so that damage is known wherever
the file lies.

Source: https://github.com/huggingface/safetensors#format
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from srlit.utils.atomic import atomic_file

CONTENT, DIGEST = "srlit", "srlit_sha256"
NO_DIGEST = "0" * 64
TENSOR, CHANNELS_LAST, ITEMS = "$tensor", "$channels_last", "$items"
MAX_HEADER_BYTES = 32 << 20

Scalar = str | int | float | bool | None


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a tree of dicts, lists, scalars and tensors, whole or not at all; tuples become lists.

    Raises:
        TypeError: a value that is none of these, with its key.
        DiskError: the file could not be written; what was there before still is.
    """
    content = memoryview(_serialise(checkpoint))
    with atomic_file(path, len(content)) as sibling:
        _write(content, sibling)


def _serialise(checkpoint: dict[str, Any]) -> bytes:
    """The file's bytes, without its digest."""
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_encode(checkpoint, "", tensors), ensure_ascii=False)
    metadata = {DIGEST: NO_DIGEST, CONTENT: tree}
    return safetensors.torch.save(_without_shared_memory(tensors), metadata)


def _write(content: memoryview, path: Path) -> None:
    """Write the file's bytes, and their digest where it belongs."""
    start = _digest_start(bytes(content[: 8 + int.from_bytes(content[:8], "little")]))
    digest = hashlib.sha256(content).hexdigest().encode()
    with path.open("wb") as file:
        file.write(content[:start])
        file.write(digest)
        file.write(content[start + len(digest) :])


def load(path: Path) -> tuple[dict[str, Any], bool]:
    """Read a safetensors file onto the CPU.

    Returns:
        What `save` was given, and True; from a file that srlit did not write, its tensors by name,
        and False.

    Raises:
        ValueError: srlit wrote the file, and it is damaged.
        SafetensorError: it is no safetensors file.
    """
    header = _read_header(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not {CONTENT, DIGEST} & metadata.keys():
        return tensors, False
    _check_digest(path, header, metadata)
    return _decode(json.loads(metadata[CONTENT]), tensors), True


def is_safetensors(path: Path) -> bool:
    """Whether a file starts as one: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


# -- digest -------------------------------------------------------------------------------------


def _read_header(path: Path) -> bytes:
    """The length and the JSON header that a file starts with."""
    with path.open("rb") as file:
        length = file.read(8)
        size = int.from_bytes(length, "little")
        if size > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {size} bytes: expected at most {MAX_HEADER_BYTES}")
        return length + file.read(size)


def _digest_start(header: bytes) -> int:
    """Where the 64 digits of the digest start; quotes inside of JSON texts are escaped."""
    key = f'"{DIGEST}":"'.encode()
    return header.index(key) + len(key)


def _check_digest(path: Path, header: bytes, metadata: dict[str, str]) -> None:
    """Compare a file with the digest in it.

    Raises:
        ValueError: they differ, or one is missing.
    """
    start = _digest_start(header)
    digest = hashlib.sha256(header[:start] + NO_DIGEST.encode() + header[start + 64 :])
    with path.open("rb") as file:
        file.seek(len(header))
        found = hashlib.file_digest(file, lambda: digest).hexdigest()
    if found != metadata.get(DIGEST) or CONTENT not in metadata:
        raise ValueError(f"its SHA-256 is {found[:16]}, expected {metadata.get(DIGEST, '')[:16]}")


# -- the tree -----------------------------------------------------------------------------------


def _encode(node: object, key: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - JSON
    """A tree as JSON can hold it; tensors go into the table."""
    if isinstance(node, Tensor):
        name = key if key not in tensors else f"{key} {len(tensors)}"
        tensors[name] = node
        return {TENSOR: name} | ({CHANNELS_LAST: True} if _is_channels_last(node) else {})
    if isinstance(node, dict):
        items = [
            [_scalar(k, key), _encode(v, f"{key}/{k}" if key else str(k), tensors)]
            for k, v in node.items()
        ]
        plain = all(type(k) is str for k in node) and not {TENSOR, ITEMS} & node.keys()
        return dict(items) if plain else {ITEMS: items}
    if isinstance(node, list | tuple):
        return [_encode(value, f"{key}/{i}", tensors) for i, value in enumerate(node)]
    return _scalar(node, key)


def _is_channels_last(tensor: Tensor) -> bool:
    """Whether a tensor lies so in memory; sums are rounded otherwise in another layout."""
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return last and not tensor.is_contiguous()


def _scalar(value: object, key: str) -> Scalar:
    """The value itself.

    Raises:
        TypeError: it is more than a scalar.
    """
    if not isinstance(value, Scalar):
        raise TypeError(f"{key} holds a {type(value).__name__}: expected plain data only")
    return value


def _decode(node: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - JSON
    """The tree that `_encode` was given."""
    if isinstance(node, list):
        return [_decode(value, tensors) for value in node]
    if not isinstance(node, dict):
        return node
    if TENSOR in node:
        tensor = tensors[node[TENSOR]]
        return tensor.contiguous(memory_format=torch.channels_last) if len(node) > 1 else tensor
    items = node[ITEMS] if node.keys() == {ITEMS} else node.items()
    return {key: _decode(value, tensors) for key, value in items}


def _without_shared_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values, dense on the CPU, each in memory of its own, as safetensors asks for."""
    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    owners = {tensor.untyped_storage().data_ptr(): name for name, tensor in dense.items()}
    kept = set(owners.values())
    return {name: tensor if name in kept else tensor.clone() for name, tensor in dense.items()}

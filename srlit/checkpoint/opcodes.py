"""What a pickle's opcodes would build, followed without carrying any of them out.

`weights_only=True` lets no foreign code run, but it believes sizes and hashes what it is given. So
the stream is first held against what `torch.save` writes of plain data: containers, numbers, text,
and tensors whose storages are all there.
"""

import pickletools
from typing import Any, Final, NamedTuple

import torch

MOST_OPCODES = 500_000
MOST_TENSORS = 20_000
MOST_DIMENSIONS = 64
MOST_BITS = 64

STORAGES: dict[str, torch.dtype] = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
    "torch ComplexFloatStorage": torch.complex64,
    "torch ComplexDoubleStorage": torch.complex128,
    "torch.storage UntypedStorage": torch.uint8,
}
DTYPES = {f"torch {k}": v for k, v in vars(torch).items() if isinstance(v, torch.dtype)}


class UnsafeArchiveError(ValueError):
    """A file that is not what `torch.save` writes of plain data; the message says why."""


class Global(NamedTuple):
    """A name that the stream refers to; nothing is imported for it."""

    name: str


class Storage(NamedTuple):
    """A storage that the stream refers to."""

    nbytes: int
    itemsize: int


class Table:
    """A dict, of which only the number of entries is followed."""

    def __init__(self, *, ordered: bool = False) -> None:
        self.ordered = ordered
        self.entries = 0


class Other:
    """A mark on the stack, or what stands for a value whose content is not followed."""


MARK: Final = Other()
OTHER: Final = Other()

PUSHED = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
    "EMPTY_LIST": OTHER,
    "MARK": MARK,
}
VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
CALLS = {
    "collections OrderedDict",
    "collections Counter",
    "torch Size",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
}


class Opcodes:
    """Follows a pickle's opcodes without carrying them out.

    Tuples, numbers and text are followed, as storages and shapes are made of them; of lists and
    dicts only the kind. Keys of dicts must be text or numbers: hashing a tuple that holds another
    one twice, 60 times over, would take longer than anybody lives.

    Args:
        sizes: bytes of each member of the archive.
    """

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0
        self.tensors = 0

    def check(self, stream: bytes) -> None:
        """Follow the whole stream.

        Raises:
            UnsafeArchiveError: it does more than build plain data, or something is not there.
        """
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count >= MOST_OPCODES:
                msg = f"over {MOST_OPCODES} steps to build it"
                raise UnsafeArchiveError(msg)
            try:
                self._follow(opcode.name, argument)
            except (LookupError, StopIteration) as error:
                msg = f"opcode {opcode.name} takes what is not there"
                raise UnsafeArchiveError(msg) from error

    def _follow(self, name: str, argument: Any) -> None:  # noqa: ANN401 - what genops reads
        if name in PUSHED:
            self.stack.append(PUSHED[name])
        elif name in VALUES:
            self.stack.append(_checked_value(argument))
        elif name in TUPLES:
            self.stack[-TUPLES[name] :] = [tuple(self.stack[-TUPLES[name] :])]
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name not in ("PROTO", "STOP"):
            self._change(name, argument)

    def _change(self, name: str, argument: Any) -> None:  # noqa: ANN401
        match name:
            case "EMPTY_DICT":
                self.stack.append(Table())
            case "TUPLE":
                self.stack.append(tuple(self._above_mark()))
            case "APPEND":
                self.stack.pop()
            case "APPENDS":
                self._above_mark()
            case "SETITEM":
                _set_items([self.stack.pop(-2), self.stack.pop()], self.stack[-1])
            case "SETITEMS":
                _set_items(self._above_mark(), self.stack[-1])
            case _:
                self._refer(name, argument)

    def _refer(self, name: str, argument: Any) -> None:  # noqa: ANN401
        match name:
            case "GLOBAL":
                self.stack.append(_checked_global(argument))
            case "BINPERSID":
                self.stack.append(self._storage(self.stack.pop()))
            case "REDUCE":
                arguments, called = self.stack.pop(), self.stack.pop()
                self.stack.append(self._result(called, arguments))
            case "BUILD" if isinstance(self.stack[-2], Table) and self.stack[-2].ordered:
                self._copy(self.stack.pop())
            case _:
                msg = f"opcode {name} where plain data needs none"
                raise UnsafeArchiveError(msg)

    def _copy(self, table: object) -> None:
        """Count the entries of a dict that is copied: a large one could be, over and over."""
        self.copied += table.entries if isinstance(table, Table) else MOST_OPCODES + 1
        if self.copied > MOST_OPCODES:
            msg = "it copies what is no dict, or one over and over"
            raise UnsafeArchiveError(msg)

    def _result(self, called: object, arguments: object) -> object:
        """What a call would give, if it is one of those that build tensors and containers."""
        match called, arguments:
            case Global("collections OrderedDict"), ():
                return Table(ordered=True)
            case Global("collections Counter"), (Table() as content,):
                self._copy(content)
                return Table()
        self.tensors += 1
        if self.tensors > MOST_TENSORS:
            msg = f"over {MOST_TENSORS} tensors"
            raise UnsafeArchiveError(msg)
        return _tensor_result(called, arguments)

    def _above_mark(self) -> list[Any]:
        """Take everything down to the last mark."""
        last = next(i for i in reversed(range(len(self.stack))) if self.stack[i] is MARK)
        items = self.stack[last + 1 :]
        del self.stack[last:]
        return items

    def _storage(self, reference: object) -> Storage:
        """What a reference to a storage stands for; the archive must hold exactly that much."""
        match reference:
            case ("storage", Global(kind), str(key), str(), int(numel)) if kind in STORAGES:
                storage = Storage(numel * STORAGES[kind].itemsize, STORAGES[kind].itemsize)
                if self.sizes.get(f"data/{key}") == storage.nbytes:
                    return storage
                msg = f"storage {key} declares {numel} elements, which the file does not hold"
                raise UnsafeArchiveError(msg)
        msg = "a reference that is none to a storage"
        raise UnsafeArchiveError(msg)


def _checked_value(value: object) -> object:
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        msg = f"a number of {value.bit_length()} bits"
        raise UnsafeArchiveError(msg)
    return value


def _checked_global(name: str) -> Global:
    if name not in CALLS and name not in STORAGES and name not in DTYPES:
        msg = f"it asks for {name.replace(' ', '.')}, which is no plain data"
        raise UnsafeArchiveError(msg)
    return Global(name)


def _set_items(items: list[Any], table: object) -> None:
    """Keys and values in turn become entries of a dict."""
    if isinstance(table, Table):
        table.entries += len(items) // 2
    for key in items[::2]:
        if not isinstance(key, str | int | float | None):
            msg = "a key that is neither text nor a number"
            raise UnsafeArchiveError(msg)


def _tensor_result(called: object, arguments: object) -> Other:
    """What a call would give, if it is one of those that build tensors and their shapes."""
    match called, arguments:
        case Global("torch Size"), (tuple(sizes),) if _are_counts(sizes):
            return OTHER
        case Global("torch._utils _rebuild_parameter"), (Other(), bool(), Table()):
            return OTHER
        case Global("torch._utils _rebuild_tensor_v2"), (Storage() as storage, *view, _, _):
            return _tensor(storage, storage.itemsize, view)
        case Global("torch._utils _rebuild_tensor_v3"), (
            Storage() as storage,
            *view,
            _,
            _,
            Global(dtype),
        ) if dtype in DTYPES:
            return _tensor(storage, DTYPES[dtype].itemsize, view)
    name = called.name.replace(" ", ".") if isinstance(called, Global) else "what is no function"
    msg = f"it calls {name} as plain data does not"
    raise UnsafeArchiveError(msg)


def _tensor(storage: Storage, itemsize: int, view: list[Any]) -> Other:
    """A tensor, of which every element is there, and none twice."""
    match view:
        case [int(offset), tuple(sizes), tuple(strides)] if len(sizes) == len(
            strides
        ) and _are_counts((offset, *sizes, *strides)):
            pass
        case _:
            msg = "a tensor without a shape"
            raise UnsafeArchiveError(msg)
    last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    count = 1
    for size in sizes:
        count *= size
    if count and max(last + 1, count) > storage.nbytes // itemsize - offset:
        msg = f"a tensor of shape {sizes}, of which the file holds {storage.nbytes} bytes"
        raise UnsafeArchiveError(msg)
    return OTHER


def _are_counts(values: tuple[Any, ...]) -> bool:
    few = len(values) <= 2 * MOST_DIMENSIONS + 1
    return few and all(isinstance(value, int) and value >= 0 for value in values)

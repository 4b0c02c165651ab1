"""Types and ranges from annotations: what a constructor takes, and whether a value is one of them.

`Annotated[int, Ge(1)]`, `Literal["a", "b"]`, `Path | None` or `Sequence[float]` are checked by
pydantic, strictly: no text for a number, no 2.5 or true for an integer, no nan. Classes that are
no plain values (tensors, modules, callables) expect a node with a `_target_`.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AllowInfNan, InstanceOf, Strict, TypeAdapter, ValidationError

NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    NoneType: "null",
    list: "a list",
    dict: "a mapping",
}
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "of length >="}
LISTS = (list, tuple, set, frozenset, Sequence)
MAPPINGS = (dict, Mapping, MutableMapping)


class Built:
    """Stands for what a node with a `_target_` will become."""

    def __repr__(self) -> str:
        return "a node with a _target_"


# -- what a callable takes ----------------------------------------------------------------------


def arguments_of(target: Any) -> dict[str, Any] | None:  # noqa: ANN401 - a class or function
    """Names and annotations of a callable's arguments; None where it takes any name.

    A class that passes its `**shared` on takes its base's arguments too.
    """
    found: dict[str, Any] = {}
    for owner in inspect.getmro(target) if inspect.isclass(target) else [target]:
        function = vars(owner).get("__init__") if inspect.isclass(owner) else owner
        if function is None:
            continue
        parameters = inspect.signature(function).parameters.values()
        hints = _hints(function)
        named = (p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))
        found = {p.name: hints.get(p.name, Any) for p in named if p.name != "self"} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return found
    return None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolved annotations; those that name what is not imported at run time are left out."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        raw = getattr(function, "__annotations__", {})
        return {name: hint for name, hint in raw.items() if not isinstance(hint, str)}


# -- whether a value is one of them -------------------------------------------------------------


def fits(annotation: Any, value: object) -> bool:  # noqa: ANN401
    """Whether a plain value, in which nodes with a `_target_` are `Built`, is of a type."""
    try:
        _adapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:  # noqa: ANN401
    return TypeAdapter(_checkable(annotation))


def _checkable(annotation: Any) -> Any:  # noqa: ANN401, C901, PLR0911 - one line per kind of type
    """The annotation as pydantic shall check it: strict leaves, lists for tuples."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (Any, object) or isinstance(annotation, TypeVar):
        return Any
    if annotation is float:
        return Annotated[float, Strict(), AllowInfNan(allow_inf_nan=False)]
    if annotation is Path:
        return Annotated[str, Strict()] | InstanceOf[Path]
    if annotation in (int, bool, str):
        return Annotated[annotation, Strict()]
    if annotation in (NoneType, list, dict) or origin is Literal:
        return annotation
    if origin is Annotated:
        return Annotated[_checkable(arguments[0]), *arguments[1:]]
    if origin in (Union, UnionType):
        return Union[tuple(map(_checkable, arguments))]  # noqa: UP007 - of a computed tuple
    if origin in (*LISTS, *MAPPINGS):
        return origin[tuple(a if a is ... else _checkable(a) for a in arguments)]
    return InstanceOf[Built]


def without_null(annotation: Any) -> Any:  # noqa: ANN401
    """`X` of `X | None`; everything else as it is."""
    if get_origin(annotation) in (Union, UnionType):
        others = [a for a in get_args(annotation) if a is not NoneType]
        return others[0] if len(others) == 1 else annotation
    return annotation


def item_annotations(annotation: Any, value: object) -> dict[str, tuple[Any, object]]:  # noqa: ANN401
    """Suffix of the key, annotation and value of each item of a list or mapping; {}: of none."""
    plain = without_null(annotation)
    origin, arguments = get_origin(plain), get_args(plain)
    if origin in MAPPINGS and isinstance(value, Mapping):
        return {f".{name}": (arguments[1], item) for name, item in value.items()}
    same = len(arguments) == 1 or arguments[1:] == (...,)
    if origin in LISTS and same and isinstance(value, list):
        return {f"[{i}]": (arguments[0], item) for i, item in enumerate(value)}
    return {}


def describe(annotation: Any) -> str:  # noqa: ANN401, PLR0911 - one line per kind of type
    """What a type expects, for messages."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in NAMES:
        return NAMES[annotation]
    if origin is Annotated:
        said = [text for text in arguments[1:] if isinstance(text, str)]
        return said[0] if said else " ".join([describe(arguments[0]), *_bounds(arguments[1:])])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(describe, arguments)))
    if origin is tuple and ... not in arguments:
        return f"a list of {len(arguments)}: {', '.join(map(describe, arguments))}"
    if origin in LISTS:
        return f"a list of {describe(arguments[0])}"
    if origin in MAPPINGS:
        return f"a mapping from {describe(arguments[0])} to {describe(arguments[1])}"
    return repr(Built())


def _bounds(metadata: Sequence[object]) -> list[str]:
    return [
        f"{sign} {bound:g}"
        for part in metadata
        for name, sign in SIGNS.items()
        if (bound := getattr(part, name, None)) is not None and bound < float("inf")
    ]

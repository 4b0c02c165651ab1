"""Small files that people and programs leave: read within limits, every error names the file."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

MAX_BYTES = 64 << 20
MAX_LIST_BYTES = 1 << 30  # lists with an entry per photo
MAX_YAML_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 50_000  # of a YAML file, each alias counted as all that it stands for
MAX_REASON = 200

FORMULA = ("=", "+", "-", "@", "\t", "\r")


class SmallFileError(ValueError):
    """A file that is damaged, too large or nested too deep; the message begins with its path."""

    def __init__(self, path: Path, reason: object) -> None:
        text = " ".join(str(reason).split())
        super().__init__(f"{path}: {text[:MAX_REASON]}")


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """A text file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: there is no such file, or it may not be read.
        SmallFileError: it is no regular file, larger than `max_bytes`, or no text.
    """
    size = path.stat().st_size
    if not path.is_file() or size > max_bytes:
        raise SmallFileError(path, f"{size} bytes: expected a file of at most {max_bytes}")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SmallFileError(path, f"expected text: {error}") from error


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:  # noqa: ANN401 - what it holds
    """What a JSON file holds; errors as in `read_text`, SmallFileError where it is no JSON too."""
    try:
        return parse_json(read_text(path, max_bytes))
    except SmallFileError:
        raise
    except ValueError as error:
        raise SmallFileError(path, f"expected JSON: {error}") from error


def parse_json(text: str) -> Any:  # noqa: ANN401 - what it holds
    """What a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested more than `MAX_DEPTH` levels deep.
    """
    try:
        tree = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    _check_depth(tree)
    return tree


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file as OmegaConf reads it, interpolations as they stand.

    Errors as in `read_text`; SmallFileError where it is no mapping, or its aliases stand for more
    than `MAX_VALUES` values, too.
    """
    text = read_text(path, MAX_YAML_BYTES)
    try:
        _check_root(text)
        _check_size(text)
        tree = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
        _check_depth(tree)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, OSError, RecursionError) as error:
        raise SmallFileError(path, f"expected YAML: {error}") from error
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}


def check_type(path: Path, content: object, kind: TypeAdapter[Any]) -> None:
    """See that a file's content is of a type; nothing is converted.

    Raises:
        SmallFileError: it is not; the message names the key.
    """
    try:
        kind.validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise SmallFileError(path, f"{key}: {first['msg']}") from error


def _check_depth(tree: object) -> None:
    """See that dicts and lists are not nested too deep, level by level."""
    level = [tree]
    for _ in range(MAX_DEPTH + 1):
        inner = [node for node in level if isinstance(node, dict | list)]
        if not inner:
            return
        level = [v for node in inner for v in (node.values() if isinstance(node, dict) else node)]
    raise _too_deep()


def _check_root(text: str) -> None:
    """See that a YAML text is a mapping."""
    nodes = (type(event) for event in _events(text) if isinstance(event, yaml.NodeEvent))
    if next(nodes, None) is not yaml.MappingStartEvent:
        raise ValueError(f"begins {text[:60]!r}, but a mapping is needed")


def _check_size(text: str) -> None:
    """See that a YAML text is no bomb, before anything is made of it.

    Raises:
        ValueError: it has too many levels or, with aliases written out, too many values.
    """
    count = 0
    opened: list[tuple[str | None, int]] = []
    sizes: dict[str | None, int] = {}
    for event in _events(text):
        if isinstance(event, yaml.AliasEvent):
            # One that stands for what is around it has no end.
            count += sizes.get(event.anchor, MAX_VALUES)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = count - before
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            sizes[event.anchor] = 1
        if len(opened) > MAX_DEPTH:
            raise _too_deep()
        if count > MAX_VALUES:
            msg = f"more than {MAX_VALUES} values, its aliases written out"
            raise ValueError(msg)


def _events(text: str) -> Iterator[yaml.Event]:
    """The parts of a YAML text as they come, before anything is made of them."""
    return yaml.parse(text, Loader=yaml.SafeLoader)


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {MAX_DEPTH} levels deep")


# -- tables that people open --------------------------------------------------------------------


def quoted_text(cell: object) -> object:
    """A cell for a CSV file; a text that spreadsheets would compute gets `'` before it.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    risky = isinstance(cell, str) and cell.startswith((*FORMULA, "'"))
    return f"'{cell}" if risky else cell


def plain_text(cell: str) -> str:
    """The text that `quoted_text` was given."""
    return cell.removeprefix("'")

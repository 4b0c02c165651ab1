"""Every key and value of a configuration is checked before anything is built or written."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints, is_typeddict

from omegaconf import DictConfig, ListConfig, OmegaConf

from srlit.config.annotations import Built, arguments_of, describe, fits, item_annotations
from srlit.config.root import root_groups

TYPED = re.compile(r"\+{0,2}([\w.]+)=(.*)", re.DOTALL)


class ConfigError(ValueError):
    """A configuration that cannot be meant; the message names the key."""


def check_config(cfg: DictConfig, config_name: str, overrides: Sequence[str] = ()) -> None:
    """Check names, types and ranges of all keys before anything is built or written.

    Args:
        cfg: what was composed; texts that YAML read as numbers or null become texts again.
        config_name: the root file.
        overrides: the command line's KEY=VALUE, as they were typed.

    Raises:
        ConfigError: an unknown key, or a value that is not of the type or in the range that
            `srlit.config.schema` or the constructor's annotations state.
    """
    typed = {m[1]: m[2] for m in map(TYPED.fullmatch, overrides) if m}
    check = _Check(cfg, typed)
    _check_root(cfg, config_name, check)
    for key, node in _targets(cfg, ""):
        target = str(node["_target_"])
        known = _arguments(target, key)
        if known is not None:
            check.names(key, node, known, target)
            check.values(key, node, known)


def _check_root(cfg: DictConfig, config_name: str, check: "_Check") -> None:
    """The root file's own keys, and those that a group fills."""
    from srlit.config.schema import ROOTS

    types, groups = _types_of(ROOTS[config_name]), root_groups(config_name)
    check.names("", cfg, {**dict.fromkeys([*groups, "hydra"]), **types}, f"conf/{config_name}.yaml")
    for key, group in groups.items():
        if isinstance(cfg.get(key), str):
            raise ConfigError(f"{key}={cfg[key]}: to choose a file, write {group}={cfg[key]}")
    check.values("", cfg, types)
    for group in ("callbacks", "logger"):
        for name in map(str, cfg.get(group) or ()):
            part = cfg[group][name]
            if part is not None and not (OmegaConf.is_dict(part) and "_target_" in part):
                raise ConfigError(f"{group}.{name}={part}: expected null or a node with _target_")


class _Check:
    """Names and values of one configuration.

    Args:
        cfg: the configuration.
        typed: key to the text that was typed for it on the command line.
    """

    def __init__(self, cfg: DictConfig, typed: Mapping[str, str]) -> None:
        self.cfg, self.typed = cfg, typed

    def names(self, key: str, node: DictConfig, known: Mapping[str, Any], where: str) -> None:
        """See that a node has only keys that its class takes."""
        for name in map(str, node):
            if not (key and name.startswith("_")) and name not in known:
                full = _joined(key, name)
                hint = did_you_mean(name, known, prefix=key)
                listed = ", ".join(sorted(known))
                raise ConfigError(f"unknown key {full}{hint} ({where} takes {listed})")

    def values(self, key: str, node: DictConfig, types: Mapping[str, Any]) -> None:
        """See that each value is of its key's type."""
        for name, annotation in types.items():
            full = _joined(key, name)
            if OmegaConf.is_missing(node, name):
                raise ConfigError(f"{full} is missing: expected {describe(annotation)}")
            if name not in node:
                continue
            if is_typeddict(annotation):
                child = _types_of(annotation)
                self.names(full, node[name], child, key or "the root file")
                self.values(full, node[name], child)
            else:
                self._value(full, annotation, _plain(node[name]))

    def _value(self, key: str, annotation: Any, value: object) -> None:  # noqa: ANN401
        """See that a value fits; where only the text that was typed does, take that."""
        if fits(annotation, value):
            return
        for text in self._texts(key):
            if fits(annotation, text):
                OmegaConf.update(self.cfg, key, text)
                return
        for suffix, (wanted, item) in item_annotations(annotation, value).items():
            self._value(f"{key}{suffix}", wanted, item)
        shown = json.dumps(value) if value is None or isinstance(value, bool) else value
        raise ConfigError(f"{key}={shown}: expected {describe(annotation)}")

    def _texts(self, key: str) -> Iterator[object]:
        """What was typed for a key: as one text, and a plain list as texts."""
        if key in self.typed:
            yield self.typed[key]
            if plain_list := re.fullmatch(r"\[([^\[\]{}\"']*)\]", self.typed[key]):
                yield [item.strip() for item in plain_list[1].split(",")]


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """`; did you mean NAME?` where one of the known names is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {_joined(prefix, close[0])}?" if close else ""


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _types_of(schema: type) -> dict[str, Any]:
    return get_type_hints(schema, include_extras=True)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A value as plain Python, resolved, with `Built` for each node with a `_target_`."""
    if isinstance(value, DictConfig | ListConfig):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        return Built() if "_target_" in value else {str(k): _plain(v) for k, v in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _targets(node: Any, key: str) -> Iterator[tuple[str, DictConfig]]:  # noqa: ANN401
    """Every node with a `_target_`, with its key."""
    if isinstance(node, DictConfig) and not node._is_none():  # noqa: SLF001 - no public way
        if "_target_" in node:
            yield key, node
        for name in map(str, node):
            if not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name):
                yield from _targets(node[name], _joined(key, name))
    elif isinstance(node, ListConfig) and not node._is_none():  # noqa: SLF001
        for position, item in enumerate(node):
            yield from _targets(item, f"{key}[{position}]")


def _arguments(target: str, key: str) -> dict[str, Any] | None:
    """What a `_target_` takes, with ranges for classes of other packages."""
    from hydra.utils import get_object

    from srlit.config.schema import FOREIGN, LIGHT

    try:
        known = arguments_of(get_object(LIGHT.get(target, target)))
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{key}._target_={target}: cannot be imported ({error})") from error
    ranges = [types for name, types in FOREIGN.items() if target.startswith(name)]
    return known and known | {k: v for types in ranges for k, v in types.items() if k in known}

"""Misspelt keys are found before anything is built or written."""

import ast
import difflib
import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from srlit.config.root import CONF_DIR, root_file, root_groups, root_keys


class ConfigError(ValueError):
    """A configuration that cannot be meant; the message names the key."""


def check_config(cfg: DictConfig, config_name: str) -> None:
    """Find misspelt keys before anything is built or written.

    Raises:
        ConfigError: a key that the root file does not have, or one that its `_target_` does not
            take.
    """
    groups, keys = root_groups(config_name), root_keys(config_name)
    known = {*groups, *keys}
    for key in map(str, cfg):
        if key not in known:
            raise ConfigError(_unknown(key, known, f"conf/{config_name}.yaml"))
        if key in groups and isinstance(cfg.get(key), str):
            msg = f"{key}={cfg[key]}: to choose a file of conf/, write {groups[key]}={cfg[key]}"
            raise ConfigError(msg)
    _check_scale(cfg)
    _check_plain(cfg, config_name)
    for key, node in _targets(cfg, ""):
        target = str(node["_target_"])
        parameters = _read_parameters(target) or _parameters(_resolve(target, key))
        if parameters is None:
            continue
        for name in map(str, node):
            if not name.startswith("_") and name not in parameters:
                raise ConfigError(_unknown(f"{key}.{name}", parameters, str(node["_target_"]), key))


def _check_scale(cfg: DictConfig) -> None:
    """See that images can be enlarged so many times."""
    if "scale" in cfg and not (type(cfg.scale) is int and cfg.scale >= 1):
        msg = f"scale={cfg.scale}: expected a whole number from 1 on"
        raise ConfigError(msg)


def _check_plain(cfg: DictConfig, config_name: str) -> None:
    """Check the nodes that no `_target_` checks: the root's own mappings, paths, named parts."""
    own = root_file(config_name)
    for key in ("weights", "paths"):
        if key in cfg:
            files = [OmegaConf.load(path) for path in (CONF_DIR / key).glob("*.yaml")]
            known = {str(name) for node in [own.get(key), *files] for name in node or ()}
            for name in map(str, cfg[key]):
                if name not in known:
                    raise ConfigError(_unknown(f"{key}.{name}", known, key, key))
    for key in ("callbacks", "logger"):
        for name in map(str, cfg.get(key) or ()):
            part = cfg[key][name]
            if part is not None and not (OmegaConf.is_dict(part) and "_target_" in part):
                msg = f"{key}.{name}={part}: expected a node with a _target_, or null"
                raise ConfigError(msg)


def _unknown(key: str, known: set[str], where: str, prefix: str = "") -> str:
    name = key.rsplit(".", 1)[-1]
    close = difflib.get_close_matches(name, known, n=1)
    full = f"{prefix}.{close[0]}" if close and prefix else (close[0] if close else "")
    hint = f"; did you mean {full}?" if close else ""
    return f"unknown key {key}{hint} ({where} takes {', '.join(sorted(known))})"


def _targets(node: Any, key: str) -> Iterator[tuple[str, DictConfig]]:  # noqa: ANN401
    """Every node with a `_target_`, with its key."""
    if isinstance(node, DictConfig) and not node._is_none():  # noqa: SLF001 - no public way
        if "_target_" in node:
            yield key, node
        for name in map(str, node):
            if not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name):
                yield from _targets(node[name], f"{key}.{name}" if key else name)
    elif isinstance(node, ListConfig):
        for position, item in enumerate(node):
            yield from _targets(item, f"{key}[{position}]")


def _resolve(target: str, key: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    from hydra.utils import get_object

    try:
        return get_object(target)
    except (ImportError, ValueError) as error:
        msg = f"{key}._target_={target}: cannot be imported ({error})"
        raise ConfigError(msg) from error


def _read_parameters(target: str) -> set[str] | None:
    """Names that a class of srlit's takes whose import would take seconds, read from its source.

    None for all other classes.
    """
    from srlit.data import LATER

    package, _, name = target.rpartition(".")
    if package != "srlit.data" or name not in LATER:
        return None
    source = find_spec(LATER[name])
    assert source is not None
    assert source.origin is not None
    [init] = [
        function
        for owner in ast.parse(Path(source.origin).read_text(encoding="utf-8")).body
        if isinstance(owner, ast.ClassDef) and owner.name == name
        for function in owner.body
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
    ]
    return {argument.arg for argument in init.args.kwonlyargs}


def _parameters(target: Any) -> set[str] | None:  # noqa: ANN401
    """Names that a callable takes; a class that passes `**shared` on takes its bases' too.

    None where it takes any.
    """
    names: set[str] = set()
    for owner in inspect.getmro(target) if inspect.isclass(target) else [target]:
        function = vars(owner).get("__init__") if inspect.isclass(owner) else owner
        if function is None:
            continue
        parameters = inspect.signature(function).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names - {"self"}
    return None

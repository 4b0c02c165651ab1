"""From YAML to objects: where `conf/` lies, checks before anything starts, building.

Only entry points know Hydra; this module is what they share. Names that come with a file are
never imported: `build_known` takes them from a table of srlit's own classes.
"""

import difflib
import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

log = logging.getLogger(__name__)

_PACKAGED = Path(__file__).parent / "conf"
CONF_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[1] / "conf"

Task = Callable[[DictConfig], Any]
Built = TypeVar("Built")


class ConfigError(ValueError):
    """A configuration that cannot be meant; the message names the key."""


# Mistakes of a user, as opposed to errors of the program: shown without a stack trace.
EXPECTED = (ValueError, FileNotFoundError, HydraException, OmegaConfBaseException)


def entry_point(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Turn a task into a command line program.

    Expected mistakes end with one line on stderr and exit code 1. In a multirun they are raised,
    so that Hydra runs the other jobs first.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @functools.wraps(task)
        def friendly(cfg: DictConfig) -> Any:  # noqa: ANN401 - Hydra passes it to sweepers
            quieten()
            try:
                check_config(cfg, config_name)
                return task(cfg)
            except EXPECTED as error:
                if _in_multirun() or getattr(error, "__notes__", None):
                    raise  # a sweep's other jobs go on; what broke a run is shown with its trace
                raise SystemExit(f"error: {_innermost(error)}") from error

        compose_and_run: Callable[[], None] = hydra.main(
            version_base="1.3", config_path=str(CONF_DIR), config_name=config_name
        )(friendly)

        def main() -> None:
            """Command line."""
            if {"-h", "--help"} & set(sys.argv[1:]):
                about = inspect.getdoc(inspect.getmodule(task)) or ""
                sys.stdout.write(help_text(config_name, about))
            else:
                compose_and_run()

        return main

    return decorate


def help_text(config_name: str, about: str) -> str:
    """What a command does, its keys with their comments, and the files it can be made of."""
    root = (CONF_DIR / f"{config_name}.yaml").read_text().split("defaults:")[1]
    keys = root.split("\n\n", 1)[1].strip()
    used = {group.split("@")[0] for group in _root_groups(config_name).values()}
    if config_name == "train":
        used |= {"experiment", "sweep", "term"}
    chosen = [f"  {group}: {', '.join(_options(group))}" for group in sorted(used)]
    return "\n".join(
        [
            about,
            "",
            f"Keys of conf/{config_name}.yaml, set as KEY=VALUE (a new key as +KEY=VALUE):",
            "",
            *(f"  {line}" for line in keys.splitlines()),
            "",
            "Files to choose from, as GROUP=NAME (+experiment=NAME, +sweep=NAME):",
            "",
            *chosen,
            "",
            "--cfg job prints everything that was composed, --config-dir DIR adds your own files,",
            "-m runs several values of a key, --hydra-help shows Hydra's own options.",
            "",
        ]
    )


def _options(group: str) -> list[str]:
    """Names of a group's files; those of parts begin with an underscore and are left out."""
    return sorted(p.stem for p in (CONF_DIR / group).glob("*.yaml") if p.stem[0] != "_")


def _in_multirun() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _innermost(error: BaseException) -> str:
    """The message of the error below Hydra's wrapping, with the key that Hydra names."""
    if isinstance(error, InstantiationException):
        key = str(error).rsplit("full_key: ", 1)[-1] if "full_key: " in str(error) else ""
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        message = str(error) if cause is error else f"{cause}"
        return f"{message} (at {key})" if key and cause is not error else message
    return str(error)


def quieten() -> None:
    """Leave out warnings about what srlit decides on purpose, or what libraries do inside."""
    import warnings

    for message in (
        ".*does not have many workers.*",
        ".*parameter 'pretrained' is deprecated.*",
        ".*Arguments other than a weight enum.*",
        ".*treespec, LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message)


# -- checks -------------------------------------------------------------------------------------


def check_config(cfg: DictConfig, config_name: str) -> None:
    """Find misspelt keys before anything is built or written.

    Raises:
        ConfigError: a key that the root file does not have, or one that its `_target_` does not
            take.
    """
    groups, keys = _root_groups(config_name), _root_keys(config_name)
    known = {*groups, *keys}
    for key in map(str, cfg):
        if key not in known:
            raise ConfigError(_unknown(key, known, f"conf/{config_name}.yaml"))
        if key in groups and isinstance(cfg.get(key), str):
            msg = f"{key}={cfg[key]}: to choose a file of conf/, write {groups[key]}={cfg[key]}"
            raise ConfigError(msg)
    _check_plain(cfg, config_name)
    for key, node in _targets(cfg, ""):
        parameters = _parameters(_resolve(str(node["_target_"]), key))
        if parameters is None:
            continue
        for name in map(str, node):
            if not name.startswith("_") and name not in parameters:
                raise ConfigError(_unknown(f"{key}.{name}", parameters, str(node["_target_"]), key))


def _check_plain(cfg: DictConfig, config_name: str) -> None:
    """Check the nodes that no `_target_` checks: the root's own mappings, paths, named parts."""
    own = _root_file(config_name)
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


def _root_file(config_name: str) -> DictConfig:
    root = OmegaConf.load(CONF_DIR / f"{config_name}.yaml")
    assert isinstance(root, DictConfig)
    return root


def _root_keys(config_name: str) -> set[str]:
    """Top-level keys that a root file sets itself."""
    return {str(key) for key in _root_file(config_name)} - {"defaults", "hydra"}


def _root_groups(config_name: str) -> dict[str, str]:
    """Top-level keys that a root file takes from a group, with what chooses their file.

    `degradation@eval_degradation: fixed` fills `eval_degradation`.
    """
    groups: dict[str, str] = {}
    for entry in _root_file(config_name).get("defaults", []):
        if isinstance(entry, DictConfig):
            name = str(next(iter(entry))).strip("/")
            groups[name.split("@")[-1]] = name
    return groups


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


# -- building -----------------------------------------------------------------------------------


def build(node: Any, **given: Any) -> Any:  # noqa: ANN401 - what the configuration names
    """Instantiate a node of the user's configuration, containers as plain Python.

    Args:
        node: the configuration.
        given: further arguments, handed over as they are: Hydra itself would copy them, and
            instantiate configurations among them.
    """
    if not given:
        return hydra.utils.instantiate(node, _convert_="all")
    return hydra.utils.instantiate(node, _convert_="all", _partial_=True)(**given)


def plain(node: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """A node as plain Python, resolved: what a checkpoint may hold."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def known_classes() -> dict[str, type]:
    """Srlit's own classes that a stored configuration may name."""
    from srlit import data, degradation, models

    return {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in (models, data, degradation)
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
    }


def build_known(node: Any, where: str) -> Any:  # noqa: ANN401
    """Build a stored, plain configuration from `known_classes` only; nothing is imported by name.

    Args:
        node: tree of dicts, lists and values; a dict with `_target_` becomes an object.
        where: the file it came with, for the error.

    Raises:
        ConfigError: a `_target_` that is none of srlit's own, or arguments it does not take.
    """
    if isinstance(node, list):
        return [build_known(item, where) for item in node]
    if not isinstance(node, Mapping):
        return node
    arguments = {k: build_known(v, where) for k, v in node.items() if k != "_target_"}
    if "_target_" not in node:
        return arguments
    classes = known_classes()
    if not isinstance(node["_target_"], str) or node["_target_"] not in classes:
        msg = (
            f"{where} names {node['_target_']!r}, which is none of srlit's own classes and is not "
            "imported on a file's word; for a network, give its configuration yourself (model=...)"
        )
        raise ConfigError(msg)
    try:
        return classes[node["_target_"]](**arguments)
    except TypeError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def load_generator(path: Path, model: Any = None) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """A trained generator and the card of its checkpoint.

    Args:
        path: the checkpoint.
        model: the user's own configuration of the network; the checkpoint's without it.

    Raises:
        CheckpointError: no checkpoint, or weights that do not fit.
        ConfigError: the checkpoint names a class that is none of srlit's own.
    """
    from srlit.checkpoint import CheckpointError, generator_weights, load_checkpoint

    checkpoint = load_checkpoint(path)
    card = checkpoint["card"]
    generator = build_known(card["model"], str(path)) if model is None else build(model)
    if not isinstance(getattr(generator, "scale", None), int) or not callable(generator):
        msg = f"{path}: its model is a {type(generator).__name__}, no generator with a scale"
        raise CheckpointError(msg)
    try:
        generator.load_state_dict(generator_weights(checkpoint))
    except RuntimeError as error:
        msg = f"{path}: the weights do not fit the network: {str(error).splitlines()[-1].strip()}"
        raise CheckpointError(msg) from error
    return generator, card

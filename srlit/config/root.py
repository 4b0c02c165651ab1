"""Where `conf/` lies, and what its root files declare."""

import math
import textwrap
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

# A wheel carries conf/ inside the package; in the repository it lies beside it.
_PACKAGED = Path(__file__).parents[1] / "conf"
CONF_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"

# Where groups are looked for: srlit's own files, then the user's (`--config-dir DIR`).
FOLDERS = [CONF_DIR]

# Arithmetic for files of conf/ whose numbers follow the scale: ${srlit.sum:4,${scale}}.
OmegaConf.register_new_resolver("srlit.sum", lambda *terms: sum(terms), replace=True)
OmegaConf.register_new_resolver("srlit.product", lambda *factors: math.prod(factors), replace=True)


HELP = """{}

Keys of conf/{}.yaml, set as KEY=VALUE (a new key as +KEY=VALUE):

{}

Files to choose from, as GROUP=NAME (+experiment=NAME, +sweep=NAME):

{}

--cfg job prints everything that was composed, --config-dir DIR adds your own files,
-m runs several values of a key, --hydra-help shows Hydra's own options.
"""


def root_file(config_name: str) -> DictConfig:
    """A root file as it stands."""
    root = OmegaConf.load(CONF_DIR / f"{config_name}.yaml")
    assert isinstance(root, DictConfig)
    return root


def root_groups(config_name: str) -> dict[str, str]:
    """Top-level keys that a root file takes from a group, with what chooses their file.

    `degradation@eval_degradation: fixed` fills `eval_degradation`.
    """
    groups: dict[str, str] = {}
    for entry in root_file(config_name).get("defaults", []):
        if isinstance(entry, DictConfig):
            name = str(next(iter(entry))).strip("/")
            groups[name.split("@")[-1]] = name
    return groups


def options(group: str) -> list[str]:
    """Names of a group's options; those that begin with an underscore are parts and left out."""
    names = {path.stem for path in _files(group)} | set(_shared_file(group))
    return sorted(name for name in names if name[0] != "_")


def _files(group: str) -> list[Path]:
    """A group's files, srlit's own and the user's."""
    return [path for folder in FOLDERS for path in sorted((folder / group).glob("*.yaml"))]


def _shared_file(group: str) -> dict[str, DictConfig]:
    """The options that share a file, `_options*.yaml`: each is what its own file would hold."""
    files = [path for path in _files(group) if path.stem.startswith("_options")]
    return {str(name): node for path in files for name, node in OmegaConf.load(path).items()}


def declare_options() -> None:
    """Tell Hydra of options that share a file, and of all loss terms.

    `loss/_terms` holds every term of the group `term` with weight 0, so that a weight on the
    command line is enough to add one. A term of the user's own needs no more than its file.
    """
    store = ConfigStore.instance()
    for path in (path for folder in FOLDERS for path in folder.glob("*/_options*.yaml")):
        group = path.parent.name
        package = "_global_" if "@package _global_" in path.read_text(encoding="utf-8") else None
        for name, node in OmegaConf.load(path).items():
            store.store(group=group, name=str(name), node=node, package=package)
    terms = options("term")
    declared = {
        "defaults": [{f"/term@terms.{name}": name} for name in terms],
        "weights": dict.fromkeys([*terms, "adversarial"], 0.0),
    }
    store.store(group="loss", name="_terms", node=declared)


def search_override() -> list[str]:
    """What lets Hydra find the user's own folders where no command line does."""
    own = ",".join(f"file://{folder}" for folder in FOLDERS[1:])
    return [f"hydra.searchpath=[{own}]"] if own else []


def help_text(config_name: str, about: str) -> str:
    """What a command does, its keys with their comments, and the files it can be made of."""
    root = (CONF_DIR / f"{config_name}.yaml").read_text(encoding="utf-8").split("defaults:")[1]
    keys = root.split("\n\n", 1)[1].strip()
    used = {group.split("@")[0] for group in root_groups(config_name).values()}
    if config_name == "train":
        used |= {"experiment", "sweep", "term"}
    chosen = [f"  {group}: {', '.join(options(group))}" for group in sorted(used)]
    return HELP.format(about, config_name, textwrap.indent(keys, "  "), "\n".join(chosen))


declare_options()

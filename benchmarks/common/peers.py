"""Importing other people's packages, which may be missing, from `build/peers`."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

BUILD = Path(__file__).resolve().parents[2] / "build"
PEERS = BUILD / "peers"


class MissingPeerError(ImportError):
    """A peer's package cannot be imported; the message is the command that installs it."""


def import_peer(name: str, hint: str) -> ModuleType:
    """Import a peer's module, from `build/peers` where the environment has none.

    Args:
        name: the module's full name.
        hint: the command that installs it.

    Raises:
        MissingPeerError: the module, or one that it imports, is not there.
    """
    if PEERS.is_dir() and str(PEERS) not in sys.path:
        sys.path.append(str(PEERS))  # at the end: nothing there may hide the environment's torch
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPeerError(f"{name} needs the module {error.name}: {hint}") from error


def import_basicsr(name: str, hint: str) -> ModuleType:
    """Import a module of `basicsr`, or of a package that imports it.

    `basicsr.data.degradations` takes `rgb_to_grayscale` from
    `torchvision.transforms.functional_tensor`, a private module that torchvision 0.17 removed; the
    function lives on in `torchvision.transforms.functional`. Where the private module is gone, a
    module of its name with that one function is registered, and nothing else of torchvision or
    basicsr is changed.

    Args:
        name: the module's full name.
        hint: the command that installs it.

    Raises:
        MissingPeerError: the module, or one that it imports, is not there.
    """
    from torchvision.transforms import functional

    gone = "torchvision.transforms.functional_tensor"
    try:
        importlib.import_module(gone)
    except ModuleNotFoundError:
        shim = ModuleType(gone)
        vars(shim)["rgb_to_grayscale"] = functional.rgb_to_grayscale
        sys.modules[gone] = shim
    return import_peer(name, hint)

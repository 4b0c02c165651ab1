"""Packages of the optional extra, imported when they are needed."""

import importlib
from typing import Any


def optional(module: str) -> Any:  # noqa: ANN401 - packages that may be missing
    """A module of litdata, or of boto3, which comes with it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        msg = f"shards need litdata ({error}): pip install 'srlit[stream]'"
        raise ModuleNotFoundError(msg) from None

"""Data: from folders of photos to batches on the device."""

from importlib import import_module
from typing import Any

from srlit.data.audit import BadDataError, audit
from srlit.data.augment import Augmentation
from srlit.data.datasets import EvaluationPhotos, PatchBatches
from srlit.data.evaluation import EvaluationData
from srlit.data.image_folder import FolderPhotos, PhotoSets, SamplePhotos
from srlit.data.mixed import MixedPhotos
from srlit.data.paired_folder import PairFolders
from srlit.data.photo import PhotoError, read_photo
from srlit.data.reader import PhotoReader
from srlit.data.sampler import PhotoOrder
from srlit.data.shards import StreamedPhotos
from srlit.data.store import PackedStore

__all__ = [
    "Augmentation",
    "BadDataError",
    "EvaluationData",
    "EvaluationPhotos",
    "FolderPhotos",
    "MixedPhotos",
    "PackedStore",
    "PairFolders",
    "PatchBatches",
    "PhotoDataModule",
    "PhotoError",
    "PhotoOrder",
    "PhotoReader",
    "PhotoSets",
    "SamplePhotos",
    "StreamedPhotos",
    "audit",
    "read_photo",
]


# Imported when they are asked for: lightning takes seconds, and only training needs it.
LATER = {"PhotoDataModule": "srlit.data.datamodule"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """What is imported later."""
    if name in LATER:
        return getattr(import_module(LATER[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

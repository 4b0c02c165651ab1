"""Data: from folders of photos to batches on the device."""

from typing import Any

from srlit.data.augment import Augmentation
from srlit.data.datasets import EvaluationPhotos, PatchBatches
from srlit.data.index import BadDataError, audit
from srlit.data.mixed import MixedPhotos
from srlit.data.order import PhotoOrder
from srlit.data.pair_folders import PairFolders
from srlit.data.photo import PhotoError, read_photo
from srlit.data.reader import PhotoReader
from srlit.data.shards import StreamedPhotos
from srlit.data.sources import FolderPhotos, PhotoSets, SamplePhotos
from srlit.data.store import PackedStore

__all__ = [
    "Augmentation",
    "BadDataError",
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


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """Import the datamodule when it is asked for: lightning takes seconds, upscaling needs none."""
    if name == "PhotoDataModule":
        from srlit.data.module import PhotoDataModule

        return PhotoDataModule
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

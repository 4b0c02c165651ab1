"""The packed store: decoded pixels in memory-mapped files, so that a patch is a copy of memory.

A store is a folder of safetensors files ("shards") of tensors (3, h, w) of uint8, named by a digest
of their pixels. So a photo is found again wherever its file lies and whatever it is called, a
changed photo is another one, and the name is the checksum. A shard appears whole or not at all.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from srlit.utils.atomic import atomic_file, remove_torn
from srlit.utils.file_lock import exclusive_lock

log = logging.getLogger(__name__)

METADATA = {"format": "srlit.packed", "version": "1"}
SUFFIX = ".safetensors"


class StoreError(ValueError):
    """A packed store that cannot be used."""


def digest_of(pixels: UInt8[Tensor, "3 h w"]) -> str:
    """32 hexadecimal digits that name an image by its size and its pixels."""
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[2]} ".encode())
    digest.update(pixels.contiguous().numpy().data)
    return digest.hexdigest()[:32]


# -- writing ------------------------------------------------------------------------------------


def write_shard(path: Path, images: Mapping[str, UInt8[Tensor, "3 h w"]]) -> None:
    """Write images, by their digests, as a shard.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_file(path) as sibling:
        sibling.write_bytes(save(dict(images), METADATA))


@contextmanager
def packing(folder: Path | None) -> Iterator[None]:
    """An exclusive lock on a store, for packing; what a killed process left half written goes."""
    with exclusive_lock(folder / ".lock", f"packing into {folder}") if folder else nullcontext():
        if folder:
            remove_torn(folder)
        yield


# -- reading ------------------------------------------------------------------------------------


class PackedStore(Mapping[str, Tensor]):
    """Images by their digest, (3, h, w) uint8, mapped into memory; must not be written to.

    Args:
        folder: where the shards lie; None or a missing folder is an empty store.

    Raises:
        StoreError: a shard is truncated, or not of this format or version.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = Path(folder).expanduser() if folder else None
        self._mapped: dict[Path, dict[str, Tensor]] = {}
        self._sizes: dict[Path, int] = {}
        self._shard_of: dict[str, Path] = {}
        for shard in sorted(self.folder.glob(f"[!.]*{SUFFIX}")) if self.folder else []:
            self._shard_of |= dict.fromkeys(self._digests_in(shard), shard)

    def _digests_in(self, shard: Path) -> list[str]:
        """A shard's images; none where it cannot be read, as its photos can be decoded."""
        try:
            return list(_open_shard(shard).keys())
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # removed since the folder was listed
                log.warning("not used: %s: %s; its photos are decoded", shard, error.strerror)
            return []

    def __getstate__(self) -> dict[str, Any]:
        """Another process maps the files itself."""
        return {**self.__dict__, "_mapped": {}}

    def __contains__(self, digest: object) -> bool:
        """Whether the image is stored."""
        return digest in self._shard_of

    def __iter__(self) -> Iterator[str]:
        """All digests."""
        return iter(self._shard_of)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._shard_of)

    def shard_of(self, digest: str) -> Path:
        """The file of an image."""
        return self._shard_of[digest]

    def is_whole(self, digest: str) -> bool:
        """Whether an image is there as it was written; all of its pixels are read."""
        try:
            return digest_of(self[digest]) == digest
        except StoreError:
            return False

    def __getitem__(self, digest: str) -> UInt8[Tensor, "3 h w"]:
        """The image's pixels, still on disk until they are read.

        Raises:
            StoreError: its shard was removed, cut, changed or closed to readers since it was found,
                or is damaged.
        """
        shard = self._shard_of[digest]
        try:
            if shard not in self._mapped:
                self._map(shard, digest)
            # Reading behind the end of a file that was cut would end the process (SIGBUS).
            if shard.stat().st_size != self._sizes[shard]:
                raise StoreError(f"{shard}: cut or written to since it was opened")
            return self._mapped[shard][digest]
        except OSError as error:
            raise StoreError(f"{shard}: {error.strerror}") from error
        except KeyError:
            raise StoreError(f"{shard}: replaced by another one") from None

    def _map(self, shard: Path, digest: str) -> None:
        """Map a shard, and verify an image or two of it: all take `srlit prepare verify=true`."""
        self._sizes[shard] = shard.stat().st_size
        file = _open_shard(shard)
        # Mapped copy-on-write: a mistaken write never reaches the file.
        images = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name in {digest, next(iter(images))} & images.keys():
            if not _is_image(images[name]) or digest_of(images[name]) != name:
                raise StoreError(f"{shard}: {name} is damaged; remove it and pack again")
        self._mapped[shard] = {name: image for name, image in images.items() if _is_image(image)}


def _is_image(tensor: Tensor) -> bool:
    return tensor.dtype == torch.uint8 and tensor.ndim == 3 and tensor.shape[0] == 3


def _open_shard(shard: Path) -> Any:  # noqa: ANN401 - safetensors has no type for it
    """An open shard; StoreError where it is damaged, OSError where it cannot be read."""
    shard.open("rb").close()  # for the system's error, which safetensors does not pass on
    try:
        file = safe_open(shard, "pt")
    except SafetensorError as error:
        msg = f"{shard}: not a shard of a packed store ({error}); remove it and pack again"
        raise StoreError(msg) from None
    found = file.metadata()  # type: ignore[no-untyped-call]
    if found != METADATA:
        raise StoreError(f"{shard}: {found}, expected {METADATA}; remove it and pack again")
    return file

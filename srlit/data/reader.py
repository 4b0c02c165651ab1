"""Pixels of audited photos: from the packed store, from memory, or decoded."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from srlit.data.audit import Photo
from srlit.data.decode import read_photo
from srlit.data.photo_file import PhotoError, printable
from srlit.data.scan import stamp_of
from srlit.data.store import PackedStore, StoreError, digest_of

log = logging.getLogger(__name__)

Pixels = UInt8[Tensor, "3 h w"]


def read_unchanged(photo: Photo) -> Pixels:
    """Decode a photo and check that it has the pixels that were audited.

    A file that was only touched or copied anew goes on being used.

    Raises:
        PhotoError: it no longer decodes, or holds other pixels now.
    """
    pixels = read_photo(photo.path)
    if photo.stamp not in {None, stamp_of(photo.path)}:
        if digest_of(pixels) != photo.digest:
            raise PhotoError(f"{printable(photo.path)}: not the image that was checked")
        log.info("%s was written anew with the same pixels", printable(photo.path))
    return pixels


@dataclass(eq=False, repr=False)
class PhotoReader:
    """Reads photos by their index, as they were when they were audited.

    Args:
        photos: the photos, by index.
        cache_mb: how much decoded pixels each process keeps in memory, in MiB.
        store: decoded pixels on disk; photos that it lacks are read by `read`.
        read: gives a photo's pixels.
    """

    photos: Sequence[Photo]
    _: KW_ONLY
    cache_mb: float = 0
    store: PackedStore = field(default_factory=lambda: PackedStore(None))
    read: Callable[[Photo], Pixels] = read_unchanged

    def __post_init__(self) -> None:
        self._budget = int(self.cache_mb * 2**20)
        self._kept: dict[Path, Pixels] = {}
        self._latest: dict[Path, Pixels] = {}
        self._lost: set[str] = set()

    @property
    def packed(self) -> bool:
        """Whether no photo needs decoding."""
        parts = (part for photo in self.photos for part in (photo, photo.lr))
        return all(part is None or part.digest in self.store for part in parts)

    def __getitem__(self, index: int) -> Pixels:
        """Pixels of photo `index`, upright RGB.

        Raises:
            PhotoError: it no longer decodes, or to other pixels than at the audit.
        """
        return self._read(self.photos[index])

    def lr(self, index: int) -> Pixels:
        """Pixels of the low-resolution partner of photo `index`.

        Raises:
            PhotoError: as above.
        """
        lr = self.photos[index].lr
        assert lr is not None, f"photo {index} has no low-resolution partner"
        return self._read(lr)

    def _read(self, photo: Photo) -> Pixels:
        if photo.digest in self.store and photo.digest not in self._lost:
            try:
                return self.store[photo.digest]
            except StoreError as error:  # removed or damaged under a run: the file has the pixels
                if not self._lost:
                    log.warning("decoding what the packed store has lost: %s", error)
                self._lost.add(photo.digest)
        known = self._kept if photo.path in self._kept else self._latest
        if photo.path in known:
            return known[photo.path]
        pixels = self.read(photo)
        previous = list(self._latest.items())[-1:]  # a photo and its partner are two
        self._latest = dict([*previous, (photo.path, pixels)])
        if pixels.nbytes <= self._budget:
            self._budget -= pixels.nbytes
            self._kept[photo.path] = pixels
        return pixels

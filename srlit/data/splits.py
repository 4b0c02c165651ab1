"""The photos of a split as a training or a measurement gets them: audited, paired, grouped."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from srlit.data.audit import Audit, BadDataError, Photo, audit
from srlit.data.image_folder import Group, PhotoSets
from srlit.data.photo import show

log = logging.getLogger(__name__)

SHOWN = 10


class Checks(NamedTuple):
    """How photos are audited.

    Attributes:
        scale: HR size / LR size of real pairs.
        max_invalid_fraction: share of unusable files from which on a set is refused.
        cache: folder that remembers audits; None looks at every file again.
        store: folder of the packed store to put pixels into; None packs nothing.
    """

    scale: int
    max_invalid_fraction: float
    cache: Path | None
    store: Path | None = None

    def __call__(self, sets: PhotoSets, paths: Sequence[Path], min_size: int) -> Audit:
        """Audit photos, and their real partners where they have some.

        Args:
            sets: knows the partners.
            paths: the photos.
            min_size: shortest side that is usable, in HR pixels.

        Raises:
            BadDataError: too many cannot be used, or a pair's sizes do not match.
        """
        partner = {path: low for path in paths if (low := sets.low(path)) is not None}
        found = self._audit(paths, min_size)
        if not partner:
            return found
        lows = self._audit(list(partner.values()), max(min_size // self.scale, 1))
        joined = join(found, {photo.path: photo for photo in lows.photos}, partner, self.scale)
        lost = len(paths) - len(joined.photos)
        if lost > self.max_invalid_fraction * len(paths):
            first = ", ".join(f"{show(path)}: {reason}" for path, reason in joined.rejected[:SHOWN])
            msg = (
                f"{lost} of {len(paths)} pairs cannot be used, more than data.max_invalid_fraction="
                f"{self.max_invalid_fraction:g} of them: {first}"
            )
            raise BadDataError(msg)
        return joined._replace(rejected=[*joined.rejected, *lows.rejected])

    def _audit(self, paths: Sequence[Path], min_size: int) -> Audit:
        return audit(
            paths,
            min_size=min_size,
            max_invalid_fraction=self.max_invalid_fraction,
            cache=self.cache,
            store=self.store,
        )


def join(
    found: Audit, lows: Mapping[Path, Photo], partner: Mapping[Path, Path], scale: int
) -> Audit:
    """Give audited HR photos their audited partners; pairs with a bad partner are left out.

    Args:
        found: what the audit found of the HR photos.
        lows: usable LR photos by path.
        partner: path of the LR photo of an HR photo; photos without one stay as they are.
        scale: HR size / LR size.

    Raises:
        BadDataError: a pair whose sizes are not `scale` apart.
    """
    photos: list[Photo] = []
    rejected = list(found.rejected)
    for photo in found.photos:
        low = partner.get(photo.path)
        if low is None or low in lows:
            photos.append(photo if low is None else photo._replace(lr=lows[low]))
        else:
            rejected.append((photo.path, f"its partner {show(low)} cannot be used"))
    wrong = [photo for photo in photos if not fits(photo, scale)]
    if wrong:
        shown = "\n".join(f"  {describe(photo)}" for photo in wrong[:SHOWN])
        msg = f"{len(wrong)} of {len(photos)} pairs are not scale={scale} apart:\n{shown}"
        raise BadDataError(msg)
    return Audit(photos, rejected, found.notes)


def fits(photo: Photo, scale: int) -> bool:
    """Whether LR, if any, is HR / scale, rounded either way: both conventions are in use."""
    if photo.lr is None:
        return True
    sides = ((photo.width, photo.lr.width), (photo.height, photo.lr.height))
    return all(abs(high - scale * low) < scale for high, low in sides)


def describe(photo: Photo) -> str:
    """A pair with its sizes."""
    assert photo.lr is not None
    return (
        f"{show(photo.path)} {photo.width}x{photo.height}, "
        f"{show(photo.lr.path)} {photo.lr.width}x{photo.lr.height}"
    )


def without(photos: Sequence[Photo], others: Sequence[Photo], where: str) -> list[Photo]:
    """Photos whose pixels are not among the others: what validates must not be trained on."""
    seen = {photo.digest: photo for photo in others if photo.digest}
    for photo in photos:
        if photo.digest in seen:
            other = show(seen[photo.digest].path)
            log.warning("not trained on: %s is %s of the %s set", show(photo.path), other, where)
    return [photo for photo in photos if photo.digest not in seen]


def regroup(
    photos: Sequence[Photo], groups: Sequence[Group]
) -> tuple[list[Photo], list[int], Sequence[float]]:
    """Usable photos in the order of their groups, how many in each, and the groups' shares.

    Shares by size are those of the photos that are left: each counts the same.

    Raises:
        BadDataError: no photo of a group is left.
    """
    members = [[p for p in photos if p.group == number] for number in range(len(groups))]
    for group, left in zip(groups, members, strict=True):
        if not left:
            msg = f"no usable photo is left of {len(group.photos)} in {group.photos[0].parent}"
            raise BadDataError(msg)
    flat = [photo for part in members for photo in part]
    counts = [len(part) for part in members]
    return flat, counts, counts if by_size(groups) else [group.share for group in groups]


def by_size(groups: Sequence[Group]) -> bool:
    """Whether the groups' shares follow their numbers of photos."""
    return len({group.share / len(group.photos) for group in groups}) == 1

"""From archives to folders of photos, which appear once all their photos are on the disk.

Archives are not trusted: of each photo only the bytes are taken, to a path that lies in the folder.
"""

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from srlit.data.download.common import (
    CHUNK,
    DownloadError,
    check_room,
    disk_errors,
    named,
    progress,
)
from srlit.data.photo import SUFFIXES

# What readers of zip, tar, gzip, bzip2 and xz raise on broken or encrypted archives.
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
)


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: its path there.
        size: bytes when unpacked.
        regular: a file, neither link nor device.
        open: gives its bytes; those of every regular file.
    """

    name: str
    size: int
    regular: bool
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path,
    folder: Path,
    *,
    key: str,
    inside: Sequence[str] = ("",),
    photos: int | None = None,
) -> None:
    """Unpack the photos of a zip or tar archive into a folder that appears when it is complete.

    Nothing is done where the folder is there and not empty.

    Args:
        archive: the file.
        folder: what is made; its parent exists.
        key: the config key that chose the folder, for errors.
        inside: the folders in the archive whose photos are taken; they are put together.
        photos: how many photos there have to be; None takes any number but none.

    Raises:
        DownloadError: the archive is broken, hostile or another one, or the disk is full.
    """
    if is_filled(folder):
        return
    with disk_errors(folder, key), _growing(folder) as growing, _members(archive) as members:
        chosen = _choose(archive, members, inside)
        _check_count(archive, len(chosen), inside, photos)
        total = sum(member.size for member in chosen.values())
        check_room(folder.parent, total, key)
        with progress(folder.name) as advance:
            for done in _write(chosen, growing):
                advance(done, total)
        _check_written(growing, len(chosen))


def is_filled(folder: Path) -> bool:
    """It appeared complete, or was put there by hand."""
    return folder.is_dir() and any(folder.iterdir())


@contextmanager
def _growing(folder: Path) -> Iterator[Path]:
    """Give a place for a folder to grow in; it takes its name when the body has filled it."""
    # One place for all attempts: what an interrupted one left is found and removed.
    growing = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(growing, ignore_errors=True)
    try:
        yield growing
        os.sync()  # the name must not reach the disk before the pixels
        growing.replace(folder)
    finally:
        shutil.rmtree(growing, ignore_errors=True)


# -- what is in an archive ----------------------------------------------------------------------


@contextmanager
def _members(archive: Path) -> Iterator[list[Member]]:
    """The files of an archive while it is open."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield [_of_zip(zipped, info) for info in zipped.infolist() if not info.is_dir()]
        else:
            with tarfile.open(archive) as tar:
                members = [_of_tar(tar, info) for info in tar if not info.isdir()]
                _drain(tar)
                yield members
    except BROKEN as error:
        msg = (
            f"{archive}: broken or no archive ({named(error)}), expected a whole zip or tar; "
            "remove the file to download it anew"
        )
        raise DownloadError(msg) from error


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 from systems that know no kinds
    regular = kind in (0, stat.S_IFREG)
    return Member(info.filename, info.file_size, regular, partial(archive.open, info))


def _of_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    return Member(info.name, info.size, info.isreg(), partial(archive.extractfile, info))


def _drain(tar: tarfile.TarFile) -> None:
    """Read to the end of the file, where gzip compares its checksum."""
    assert tar.fileobj is not None
    while tar.fileobj.read(CHUNK):
        pass


# -- what is taken ------------------------------------------------------------------------------


def _choose(
    archive: Path, members: Iterable[Member], inside: Sequence[str]
) -> dict[PurePosixPath, Member]:
    """The photos below the folders `inside`, by their paths from there.

    Members are never unpacked under a path or kind of their own choosing: their bytes are copied
    into new files at these paths. That is stricter than the filters of `tarfile`, and does for zip.
    """
    chosen: dict[PurePosixPath, Member] = {}
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise _hostile(archive, member, "leads out of the folder")
        if (place := _place(path, inside)) is None:
            continue
        if not member.regular:
            raise _hostile(archive, member, "is a link or a device")
        if place in chosen:
            raise _hostile(archive, member, f"has the same name as {chosen[place].name}")
        chosen[place] = member
    return chosen


def _place(path: PurePosixPath, inside: Sequence[str]) -> PurePosixPath | None:
    """The path from the folder it is in; None for what is no photo of these folders."""
    if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
        return None
    return next((path.relative_to(base) for base in inside if path.is_relative_to(base)), None)


def _hostile(archive: Path, member: Member, why: str) -> DownloadError:
    return DownloadError(
        f"{archive}: refused, as {member.name!r} in it {why}; expected an archive with plain "
        "photos only. Remove the file and get it from a source you trust"
    )


def _check_count(archive: Path, found: int, inside: Sequence[str], wanted: int | None) -> None:
    expected = max(found, 1) if wanted is None else wanted
    if found != expected:
        msg = (
            f"{archive}: {found} photos below {', '.join(inside) or 'its top'}, expected "
            f"{expected}; remove the file to download it anew"
        )
        raise DownloadError(msg)


# -- what is written ----------------------------------------------------------------------------


def _write(chosen: Mapping[PurePosixPath, Member], folder: Path) -> Iterator[int]:
    """Copy the members' bytes into new files; gives the bytes written, before and after each."""
    done = 0
    yield done
    for place, member in chosen.items():
        _copy(member, folder / place)
        done += member.size
        yield done


def _check_written(folder: Path, wanted: int) -> None:
    """Another process may have removed what this one wrote, where no lock keeps them apart."""
    found = sum(path.is_file() for path in folder.rglob("*"))
    if found != wanted:
        msg = (
            f"{folder}: {found} photos were written, expected {wanted}: another process works "
            "there; wait until it is done, and run the same again"
        )
        raise DownloadError(msg)


def _copy(member: Member, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None
    with source, file.open("xb") as copy:
        shutil.copyfileobj(source, copy, CHUNK)

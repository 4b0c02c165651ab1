"""Photos from an archive into a folder, which appears once all of them are on the disk."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from gzip import BadGzipFile
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from rich.progress import track

from srlit.data.image_formats import SUFFIXES
from srlit.utils.atomic import atomic_folder
from srlit.utils.download import CHUNK, DownloadError, check_free_space, disk_errors

# What zipfile and tarfile raise on broken, hostile or encrypted archives.
BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, BadGzipFile, zlib.error, LZMAError, EOFError, RuntimeError
)  # fmt: skip
# Photos hardly compress; an archive that unpacks to more than this many times its size is refused.
MAX_RATIO = 100


def unpack(
    archive: Path,
    folder: Path,
    *,
    key: str,
    inside: Sequence[str] = ("",),
    photos: int | None = None,
) -> None:
    """Unpack the photos of a zip or tar archive, unless the folder is there and not empty.

    Args:
        archive: the file.
        folder: the folder to make; its parent exists.
        key: the config key that chose the folder, for errors.
        inside: the folders in the archive whose photos are taken; they are merged.
        photos: how many photos are expected; None: at least one.

    Raises:
        DownloadError: the archive is broken, hostile or another one, or the disk is full.
    """
    if is_filled(folder):
        return
    with disk_errors(folder, key), atomic_folder(folder) as target:
        extracted = Path(mkdtemp(dir=target))
        try:
            _extract(archive, extracted, inside, key)
        except BROKEN as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            msg = f"{archive}: refused ({reason}), expected a whole zip or tar archive of photos"
            raise DownloadError(f"{msg}; remove the file to download it again") from error
        found = _merge([extracted / base for base in inside], target)
        if found != photos and (photos is not None or not found):
            msg = f"{archive}: {found} photos below {', '.join(inside)}, expected {photos or 1}"
            raise DownloadError(f"{msg}; remove the file to download it again")
        shutil.rmtree(extracted)


def is_filled(folder: Path) -> bool:
    """Whether a folder was unpacked before, or put there by hand."""
    return folder.is_dir() and any(folder.iterdir())


def _extract(archive: Path, folder: Path, inside: Sequence[str], key: str) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                _check_name(name)
            chosen = [info for info in zipped.infolist() if _is_photo(info.filename, inside)]
            _check_size(archive, sum(info.file_size for info in chosen), folder, key)
            for info in track(chosen, f"unpacking {archive.name}"):
                zipped.extract(info, folder)
        return
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        while tar.fileobj and tar.fileobj.read(CHUNK):
            pass  # gzip compares its checksum at the end
        for member in members:
            _check_name(member.name)
        files = [member for member in members if member.isreg() and _is_photo(member.name, inside)]
        _check_size(archive, sum(member.size for member in files), folder, key)
        for member in track(files, f"unpacking {archive.name}"):
            tar.extract(member, folder, filter="data")


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise tarfile.TarError(f"{name!r} leads out of the folder")


def _is_photo(name: str, inside: Sequence[str]) -> bool:
    path = PurePosixPath(name)
    visible = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return visible and any(path.is_relative_to(base) for base in inside)


def _check_size(archive: Path, unpacked: int, folder: Path, key: str) -> None:
    """Refuse bombs and full disks; zipfile and tarfile never write more than is declared."""
    if unpacked > MAX_RATIO * archive.stat().st_size:
        raise tarfile.TarError(f"{unpacked:,} bytes when unpacked, over {MAX_RATIO} times its size")
    check_free_space(folder, unpacked, key)


def _merge(folders: Sequence[Path], target: Path) -> int:
    """Move the files of some folders into one; gives their number."""
    files = [(file, folder) for folder in folders for file in folder.rglob("*") if file.is_file()]
    for file, folder in files:
        place = target / file.relative_to(folder)
        if place.exists():
            raise DownloadError(f"{place.name}: in two of the archive's folders")
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
    return len(files)

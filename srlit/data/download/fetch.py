"""A public data set's archive, from the web to its folders."""

import logging
from pathlib import Path

from srlit.data.download.common import disk_errors
from srlit.data.download.download import download
from srlit.data.download.unpack import is_filled, unpack
from srlit.data.download.urls import Archive
from srlit.utils.file_lock import alone

log = logging.getLogger(__name__)


def fetch_archive(archive: Archive, root: Path, *, key: str = "paths.data") -> None:
    """Make the folders of an archive that are missing; the archive itself stays beside them.

    Args:
        archive: what to download.
        root: where its folders belong.
        key: the config key that chose it, for errors.

    Raises:
        DownloadError: it is not to be had, is another one, or has no room on the disk.
    """
    if is_there(archive, root):
        return
    with disk_errors(root, key), alone(root / f".{archive.file}.lock", f"fetching {archive.file}"):
        if is_there(archive, root):  # another process brought it meanwhile
            return
        file = root / archive.file
        download(archive.url, file, sha256=archive.sha256, size=archive.size, key=key)
        for name, inside, photos in archive.folders:
            unpack(file, root / name, key=key, inside=inside, photos=photos)
        log.info("%s is unpacked and can be removed", file)


def is_there(archive: Archive, root: Path) -> bool:
    """Whether nothing of an archive is missing."""
    return all(is_filled(root / folder.name) for folder in archive.folders)

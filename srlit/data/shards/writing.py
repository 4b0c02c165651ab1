"""Photos into shards: their files as they are, whole or not at all."""

import logging
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import track

from srlit.data.audit import Photo
from srlit.data.decode import decode_bytes
from srlit.data.photo_file import PhotoError, photo_errors, printable, read_bytes
from srlit.data.scan import stamp_of
from srlit.data.shards.extra import optional
from srlit.data.shards.layout import (
    FORMAT,
    INDEX,
    LISTING,
    VERSION,
    Row,
    ShardError,
    read_index,
    read_listing,
    sha256,
)
from srlit.data.store import digest_of
from srlit.utils.atomic import write_json
from srlit.utils.file_lock import exclusive_lock

log = logging.getLogger(__name__)

MOST_MB = 1024  # litdata's offsets have 32 bits
MANY = 200


def write_shards(photos: Sequence[Photo], folder: str | Path, *, chunk_mb: float = 64) -> None:
    """Write photos into shards: their files as they are, in their order.

    The folder appears when all is written; a killed run leaves a hidden sibling that the next one
    removes. Shards of the same photos that are already there are left as they are.

    Args:
        photos: what to write; their files are decoded only where they changed since the audit.
        folder: where the shards go, a folder that does not exist or is empty.
        chunk_mb: most MiB in a file, but for a photo that is larger.

    Raises:
        FileExistsError: the folder holds something else.
        PhotoError: a file cannot be read, or holds another picture than at the audit.
        ValueError: no photos, pairs, or an impossible size.
        ModuleNotFoundError: litdata is not installed.
    """
    target = Path(folder).expanduser()
    _check_request(photos, chunk_mb)
    optional("litdata.streaming.writer")
    with _being_written(target) as sibling:
        if _holds(target, photos):
            log.info("%s: holds these %d photos already", target, len(photos))
            return
        if target.exists() and any(target.iterdir()):
            msg = f"{target}: holds other files than shards of these photos; choose another folder"
            raise FileExistsError(msg)
        sibling.mkdir(parents=True)
        rows = _write_chunks(photos, sibling, chunk_mb)
        _write_listing(sibling, rows)
        _flush(sibling)
        sibling.replace(target)
    log.info("%s: shards of %d photos", target, len(photos))


def _check_request(photos: Sequence[Photo], chunk_mb: float) -> None:
    if not photos:
        raise ValueError("no photos to write into shards")
    if any(photo.lr is not None for photo in photos):
        raise ValueError("real pairs cannot be written into shards: only single photos can")
    if not 0 < chunk_mb <= MOST_MB:
        msg = f"chunk_mb={chunk_mb:g}: expected a number up to {MOST_MB}"
        raise ValueError(msg)


@contextmanager
def _being_written(target: Path) -> Iterator[Path]:
    """A sibling to write into, gone afterwards; waits while another process writes there."""
    sibling = target.with_name(f".{target.name}.partial")
    # The lock stays: who removed it would leave those who wait for it to lock another file.
    with exclusive_lock(target.with_name(f".{target.name}.lock"), f"writing shards into {target}"):
        shutil.rmtree(sibling, ignore_errors=True)
        try:
            yield sibling
        finally:
            shutil.rmtree(sibling, ignore_errors=True)


def _holds(target: Path, photos: Sequence[Photo]) -> bool:
    """Whether the folder is complete and lists these photos."""
    try:
        index = (target / INDEX).read_bytes()
        rows = read_listing((target / LISTING).read_bytes(), index, str(target))
        chunks = read_index(index, str(target))
        whole = all((target / chunk.name).stat().st_size == chunk.size for chunk in chunks)
    except (OSError, ShardError):
        return False
    known = [(row.width, row.height, row.digest) for row in rows]
    return whole and known == [(photo.width, photo.height, photo.digest) for photo in photos]


def _write_chunks(photos: Sequence[Photo], folder: Path, chunk_mb: float) -> list[Row]:
    """Write chunks and index; what the list will say."""
    writer = optional("litdata.streaming.writer").BinaryWriter(
        str(folder), chunk_bytes=int(chunk_mb * 2**20)
    )
    rows = []
    named = zip(photos, _names(photos), strict=True)
    shown = track(named, "writing shards", total=len(photos), disable=len(photos) < MANY)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "An item was larger than the target chunk size")
        for number, (photo, name) in enumerate(shown):
            row, data = _read_file(photo, name)
            writer.add_item(number, _entries(row, data))
            rows.append(row)
        writer.done()
    writer.merge(1)
    return rows


def _entries(row: Row, data: bytes) -> dict[str, Any]:
    """A photo as litdata writes it, of the kinds that `KINDS` lists.

    A plain string would be taken for a file's path wherever a file of that name lies in the
    working directory.
    """
    types = optional("litdata.types")
    return {
        "name": types.Text(text=row.name),
        "width": row.width,
        "height": row.height,
        "digest": types.Text(text=row.digest),
        "crc": zlib.crc32(data),
        "image": types.File(bytes=data),
    }


def _names(photos: Sequence[Photo]) -> list[str]:
    """Paths below the folder that all photos have in common; bytes that are no UTF-8 escaped."""
    absolute = [os.path.abspath(photo.path) for photo in photos]  # noqa: PTH100 - keeps links
    common = os.path.commonpath([os.path.dirname(path) for path in absolute])  # noqa: PTH120
    names = [Path(path).relative_to(common).as_posix() for path in absolute]
    return [os.fsencode(name).decode(errors="backslashreplace") for name in names]


def _read_file(photo: Photo, name: str) -> tuple[Row, bytes]:
    """A photo's file, seen to be what was audited.

    Raises:
        PhotoError: it cannot be read, or holds another picture.
    """
    with photo_errors(photo.path):
        data = read_bytes(photo.path)
    row = Row(name, photo.width, photo.height, photo.digest)
    if photo.digest and photo.stamp is not None and photo.stamp == stamp_of(photo.path):
        return row, data
    pixels = decode_bytes(data, str(photo.path)).pixels
    found = Row(name, pixels.shape[2], pixels.shape[1], digest_of(pixels))
    if found != (row if row.digest else row._replace(digest=found.digest)):
        reason = "holds another picture than when it was checked"
        raise PhotoError(f"{printable(photo.path)}: {reason}", reason)
    return found, data


def _write_listing(folder: Path, rows: Sequence[Row]) -> None:
    """Write the list, which names the index that it belongs to."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "index": sha256((folder / INDEX).read_bytes()),
        "photos": rows,
    }
    write_json(folder / LISTING, content)


def _flush(folder: Path) -> None:
    """Have the disk hold all files before the folder gets its name."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

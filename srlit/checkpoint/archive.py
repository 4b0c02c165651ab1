"""What a checkpoint's file declares, judged before PyTorch opens it.

Two readers look at such a file: a zip reader and an unpickler. The first expands what is compressed
and believes what members say of themselves. So the file is held against what `torch.save` writes:
members stored one behind another, and an opcode stream of plain data (`opcodes.py`).
"""

import os
import re
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from srlit.checkpoint.opcodes import Opcodes, UnsafeArchiveError

MOST_DIRECTORY_BYTES = 16 << 20
MOST_PICKLE_BYTES = 64 << 20

# The end of a zip file as PyTorch writes it: zip64's record, its locator, the old record.
END = struct.Struct("<4sQHHIIQQQQ 4sIQI 4sHHHHIIH")
MEMBER = re.compile(
    r"[^/\\]+/(data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id)"
)
LOCAL_HEADER_BYTES = 30


def check_archive(path: Path) -> None:
    """See that a file is an archive that PyTorch wrote of plain data.

    Raises:
        UnsafeArchiveError: it is not, and why.
        zipfile.BadZipFile: it is damaged.
    """
    with path.open("rb") as file:
        directory = _directory_start(file)
        with zipfile.ZipFile(file) as archive:
            sizes = _check_members(archive.infolist(), directory)
            if not sizes.get("data.pkl", MOST_PICKLE_BYTES + 1) <= MOST_PICKLE_BYTES:
                msg = f"no data.pkl of at most {MOST_PICKLE_BYTES} bytes"
                raise UnsafeArchiveError(msg)
            root = archive.namelist()[0].split("/")[0]
            Opcodes(sizes).check(archive.read(f"{root}/data.pkl"))


def _directory_start(file: BinaryIO) -> int:
    """Where the list of members starts; it must end where the end record starts.

    Zip readers differ in what they make of anything else, and only one of them is asked here.
    """
    size = file.seek(0, os.SEEK_END)
    if size < END.size:
        msg = "no zip archive of PyTorch's, which is all that srlit writes"
        raise UnsafeArchiveError(msg)
    end = size - END.size
    file.seek(end)
    fields = END.unpack(file.read(END.size))
    if (fields[0], fields[10], fields[14]) != (b"PK\6\6", b"PK\6\7", b"PK\5\6") or fields[-1]:
        msg = "no zip archive of PyTorch's, which is all that srlit writes, or one cut off"
        raise UnsafeArchiveError(msg)
    length, start, record = fields[8], fields[9], fields[12]
    if start + length != end or record != end or length > MOST_DIRECTORY_BYTES:
        msg = f"its list of members is not where it belongs, or over {MOST_DIRECTORY_BYTES} bytes"
        raise UnsafeArchiveError(msg)
    return int(start)


def _check_members(members: list[zipfile.ZipInfo], directory: int) -> dict[str, int]:
    """Name, without the root, to size of every member.

    Raises:
        UnsafeArchiveError: a member that PyTorch does not write, twice, compressed, or over
            another one.
    """
    taken = 0
    sizes: dict[str, int] = {}
    for member in sorted(members, key=lambda member: member.header_offset):
        name = member.orig_filename.partition("/")[2]
        if not MEMBER.fullmatch(member.orig_filename) or name in sizes:
            msg = f"{member.orig_filename!r} is no member of a checkpoint, or is there twice"
            raise UnsafeArchiveError(msg)
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            msg = f"{name} is compressed, which PyTorch never does"
            raise UnsafeArchiveError(msg)
        if member.header_offset < taken or (not sizes and member.header_offset):
            msg = f"{name} lies over another member"
            raise UnsafeArchiveError(msg)
        taken = member.header_offset + LOCAL_HEADER_BYTES + len(name) + member.file_size
        sizes[name] = member.file_size
    if taken > directory or len({m.orig_filename.split("/")[0] for m in members}) != 1:
        msg = "its members have more bytes than the file, or several roots"
        raise UnsafeArchiveError(msg)
    return sizes

"""Archives, whole, broken and hostile, to folders of photos."""

import errno
import gzip
import io
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from unittest.mock import Mock

import pytest

from srlit.data.unpack import unpack
from srlit.utils.download import DownloadError

FILES = {
    "set/train/1.jpg": b"one",
    "set/train/deep/2.PNG": b"two" * 10,
    "set/test/3.jpg": b"three",
    "set/val/4.jpg": b"four",
    "set/train/Thumbs.db": b"no photo",
    "set/train/._1.jpg": b"no photo either",
    "set/train_labels/1.png": b"another folder",
    "readme.txt": b"read me",
}


def write_archive(path, files=FILES, members=()):
    """An archive of files, name to content, and of other members."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("set")
            for name, content in files.items():
                archive.writestr(name, content)
        return
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        archive.add(path.parent, "set", recursive=False)
        for info in members:
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, str(to)
    return info


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=["set.zip", "set.tgz", "set.tar"])
def archive(request, tmp_path):
    path = tmp_path / request.param
    write_archive(path)
    return path


def extract(archive, **changes):
    folder = archive.parent / "photos"
    unpack(archive, folder, key="paths.data", **({"inside": ("set/train", "set/test")} | changes))
    return folder


def refused(archive, *, match, **changes):
    """An archive is refused, and leaves nothing behind."""
    with pytest.raises(DownloadError, match=match):
        extract(archive, **changes)
    assert leftovers(archive) == []


def leftovers(archive):
    return sorted(path.name for path in archive.parent.iterdir() if path != archive)


def test_the_photos_of_some_folders_are_merged_into_an_empty_one(archive):
    (archive.parent / "photos").mkdir()
    folder = extract(archive, photos=3)
    photos = {"1.jpg": b"one", "deep/2.PNG": b"two" * 10, "3.jpg": b"three"}
    assert tree(folder) == photos
    assert leftovers(archive) == ["photos"]
    (folder / "1.jpg").unlink()
    assert tree(extract(archive)).keys() == photos.keys() - {"1.jpg"}


KILLED = """
import os, signal, sys
from pathlib import Path
from srlit.data import unpack
unpack._merge = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
unpack.unpack(Path(sys.argv[1]), Path(sys.argv[2]), key="paths.data")
"""


def test_a_killed_process_leaves_no_folder_and_the_next_one_starts_afresh(archive):
    command = [sys.executable, "-c", KILLED, str(archive), str(archive.parent / "photos")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert leftovers(archive) == [".photos.partial"]
    (archive.parent / ".photos.partial" / "stale.jpg").write_bytes(b"stale")
    assert len(tree(extract(archive))) == 3
    assert leftovers(archive) == ["photos"]


# -- hostile archives ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil.jpg", "set/train/../../../evil.jpg", "/tmp/evil.jpg"])
def test_names_that_lead_out_are_refused(archive, name):
    write_archive(archive, {**FILES, name: b"evil"})
    refused(archive, match=f"{archive}: .*{name}")
    assert not list(archive.parent.parent.glob("evil.jpg"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_left_out(tmp_path, kind):
    files = {f"./{name}": FILES[name] for name in FILES}
    write_archive(tmp_path / "set.tar", files, [link("set/train/x.jpg", "/etc/passwd", kind)])
    assert len(tree(extract(tmp_path / "set.tar", photos=3))) == 3


def test_a_photo_below_a_link_to_elsewhere_stays_in_the_folder(tmp_path):
    """The classic attack: a link to a folder, then a file "in" it."""
    (tmp_path / "outside").mkdir()
    files = {"set/train/way/evil.jpg": b"evil"}
    write_archive(tmp_path / "set.tar", files, [link("set/train/way", tmp_path / "outside")])
    assert tree(extract(tmp_path / "set.tar")) == {"way/evil.jpg": b"evil"}
    assert not list((tmp_path / "outside").iterdir())


def test_a_link_in_a_zip_becomes_a_plain_file(tmp_path):
    info = zipfile.ZipInfo("set/train/x.jpg")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    write_archive(tmp_path / "set.zip", {info: "/etc/passwd"})
    assert tree(extract(tmp_path / "set.zip")) == {"x.jpg": b"/etc/passwd"}
    assert not (tmp_path / "photos" / "x.jpg").is_symlink()


def test_a_bomb_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    archive = tmp_path / "set.zip"
    write_archive(archive, {"set/train/1.bmp": bytes(10_000_000)})
    monkeypatch.setattr(zipfile.ZipFile, "extract", None)
    refused(archive, match="10,000,000")


def test_a_zip_that_declares_too_small_a_size_writes_no_more(tmp_path):
    archive = tmp_path / "set.zip"
    write_archive(archive, {"set/train/1.bmp": bytes(1_000_000)})
    size = (1_000_000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (50).to_bytes(4, "little")))
    refused(archive, match=str(archive))


def test_two_photos_of_one_name_are_refused(tmp_path):
    write_archive(tmp_path / "set.zip", {"set/train/1.jpg": b"1", "set/test/1.jpg": b"2"})
    refused(tmp_path / "set.zip", match=r"1\.jpg")


# -- broken archives ----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["30 %", "60 %", "90 %", "flipped bit"])
def test_a_damaged_archive_is_refused(archive, damage):
    noise = random.Random(2)
    write_archive(archive, {f"set/train/{i}.jpg": noise.randbytes(5000) for i in range(10)})
    content = bytearray(archive.read_bytes())
    if damage == "flipped bit":
        if archive.suffix == ".tar":
            pytest.skip("a plain tar has no checksums")
        content[2500] ^= 1
    else:
        del content[int(damage[:2]) * len(content) // 100 :]
    archive.write_bytes(content)
    refused(archive, photos=10, match=str(archive))


@pytest.mark.parametrize("content", [None, b"", b"<html>none</html>", gzip.compress(b"x" * 999)])
def test_no_archive(tmp_path, content):
    if content is not None:
        (tmp_path / "set.zip").write_bytes(content)
    refused(tmp_path / "set.zip", match=str(tmp_path))


@pytest.mark.parametrize(("inside", "photos", "found"), [("set", 400, 5), ("none", None, 0)])
def test_another_number_of_photos_than_expected(archive, inside, photos, found):
    message = f"{found} photos .*expected {photos or 1}"
    refused(archive, inside=(inside,), photos=photos, match=message)


# -- full disks ---------------------------------------------------------------------------------


def test_space_is_needed_for_the_photos_taken(archive, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=30)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    refused(archive, match=r"38 bytes.*30 bytes.*paths\.data")
    assert len(tree(extract(archive, inside=("set/test",)))) == 1


def test_a_disk_that_fills_up_while_unpacking_leaves_no_folder(archive, monkeypatch):
    full = Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    refused(archive, match=r"paths\.data")

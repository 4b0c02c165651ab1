"""Archives, good, broken and hostile, to folders of photos."""

import errno
import gzip
import hashlib
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

import pytest

from srlit.data.download import DownloadError, fetch_archive, unpack
from srlit.data.download.urls import Archive, Folder
from tests.data.server import serve

FILES = {
    "set/train/1.jpg": b"one",
    "set/train/deep/2.PNG": b"two" * 1000,
    "set/test/3.jpg": b"three",
    "set/val/4.jpg": b"four",
    "set/train/Thumbs.db": b"no photo",
    "set/train/._1.jpg": b"no photo either",
    "set/train_labels/1.png": b"another folder",
    "readme.txt": b"read me",
}


def write_zip(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("set")
        for name, content in files.items():
            archive.writestr(name, content)


def write_tar(path, files=FILES, members=()):
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        archive.add(path.parent, "set", recursive=False)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in members:
            archive.addfile(info)


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, str(to)
    return info


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=["set.zip", "set.tgz", "set.tar"])
def archive(request, tmp_path):
    path = tmp_path / request.param
    (write_zip if path.suffix == ".zip" else write_tar)(path)
    return path


def extract(archive, **changes):
    folder = archive.parent / "photos"
    unpack(archive, folder, key="paths.data", **({"inside": ("set/train", "set/test")} | changes))
    return folder


def leftovers(archive):
    return sorted(path.name for path in archive.parent.iterdir() if path != archive)


def test_the_photos_of_some_folders_become_one(archive):
    folder = extract(archive, photos=3)
    assert tree(folder) == {"1.jpg": b"one", "deep/2.PNG": b"two" * 1000, "3.jpg": b"three"}
    assert leftovers(archive) == ["photos"]


def test_by_default_all_photos_of_an_archive_are_unpacked(archive):
    assert len(tree(extract(archive, inside=("",)))) == 5


def test_names_that_begin_with_a_dot_and_slash_are_found(tmp_path):
    write_tar(tmp_path / "set.tar", {f"./{name}": content for name, content in FILES.items()})
    assert len(tree(extract(tmp_path / "set.tar"))) == 3


def test_a_folder_that_is_there_stays_as_it_is(archive):
    folder = archive.parent / "photos"
    folder.mkdir()
    (folder / "mine.jpg").write_bytes(b"mine")
    assert tree(extract(archive)) == {"mine.jpg": b"mine"}


def test_an_empty_folder_is_filled(archive):
    (archive.parent / "photos").mkdir()
    assert len(tree(extract(archive))) == 3


def test_an_interrupted_unpacking_never_looks_complete_and_is_redone(archive, monkeypatch):
    copy, copied = shutil.copyfileobj, []

    def stopped(source, target, length):
        copy(source, target, length)
        copied.append(target.name)
        if len(copied) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", stopped)
    with pytest.raises(KeyboardInterrupt):
        extract(archive)
    assert len(copied) == 2
    assert leftovers(archive) == []
    monkeypatch.undo()
    assert len(tree(extract(archive))) == 3


UNPACK = """
import os, shutil, signal, sys
from pathlib import Path
from srlit.data.download import unpack
shutil.copyfileobj = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
unpack(Path(sys.argv[1]), Path(sys.argv[2]), key="paths.data")
"""


def test_an_unpacking_that_was_killed_is_redone(tmp_path):
    write_zip(tmp_path / "set.zip")
    folder = tmp_path / "photos"
    command = [sys.executable, "-c", UNPACK, str(tmp_path / "set.zip"), str(folder)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert leftovers(tmp_path / "set.zip") == [".photos.unpacking"]
    (tmp_path / ".photos.unpacking" / "stale.jpg").write_bytes(b"stale")
    assert len(tree(extract(tmp_path / "set.zip"))) == 3
    assert leftovers(tmp_path / "set.zip") == ["photos"]


@pytest.mark.parametrize("name", ["../evil.jpg", "set/train/../../../evil.jpg", "/tmp/evil.jpg"])
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_that_lead_out_are_refused(tmp_path, name, write):
    archive = tmp_path / "inner" / ("set.zip" if write is write_zip else "set.tgz")
    archive.parent.mkdir()
    write(archive, {**FILES, name: b"evil"})
    with pytest.raises(DownloadError, match="evil.jpg' in it leads out of the folder"):
        extract(archive)
    assert leftovers(archive) == []
    assert not list(tmp_path.rglob("evil.jpg"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_place_of_photos_are_refused(tmp_path, kind):
    (tmp_path / "secret").write_bytes(b"secret")
    write_tar(tmp_path / "set.tar", members=[link("set/train/x.jpg", tmp_path / "secret", kind)])
    with pytest.raises(DownloadError, match=r"set/train/x.jpg' in it is a link or a device"):
        extract(tmp_path / "set.tar")
    assert leftovers(tmp_path / "set.tar") == ["secret"]


def test_a_photo_below_a_link_to_elsewhere_lands_in_the_folder(tmp_path):
    """The classic attack: a link to a folder, then a file "in" it."""
    (tmp_path / "outside").mkdir()
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.addfile(link("set/train/way", tmp_path / "outside"))
        info = tarfile.TarInfo("set/train/way/evil.jpg")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    assert tree(extract(tmp_path / "set.tar")) == {"way/evil.jpg": b"evil"}
    assert not list((tmp_path / "outside").iterdir())


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("set/train/x.jpg")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DownloadError, match="is a link or a device"):
        extract(tmp_path / "set.zip")


def test_two_photos_of_one_name_are_refused(tmp_path):
    write_zip(tmp_path / "set.zip", {"set/train/1.jpg": b"1", "set/test/1.jpg": b"2"})
    with pytest.raises(DownloadError, match="has the same name as set/train/1.jpg"):
        extract(tmp_path / "set.zip")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_archive_is_an_error_that_says_what_to_remove(archive, share):
    noise = random.Random(2)
    files = {f"set/train/{i}.jpg": noise.randbytes(5000) for i in range(10)}
    (write_zip if archive.suffix == ".zip" else write_tar)(archive, files)
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(DownloadError, match=f"{archive}: .*remove the file to download it anew"):
        extract(archive, photos=10)
    assert leftovers(archive) == []


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_a_flipped_byte_in_an_archive_is_found(tmp_path, suffix):
    archive = tmp_path / f"set{suffix}"
    files = {"set/train/1.jpg": random.Random(3).randbytes(5000)}
    (write_zip if suffix == ".zip" else write_tar)(archive, files)
    content = bytearray(archive.read_bytes())
    content[2500] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match="broken or no archive"):
        extract(archive)
    assert leftovers(archive) == []


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", gzip.compress(b"x" * 999)])
def test_what_is_no_archive_is_an_error(tmp_path, content):
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(DownloadError, match="set.zip: broken or no archive"):
        extract(tmp_path / "set.zip")


def test_a_missing_archive_is_an_error(tmp_path):
    with pytest.raises(DownloadError, match="No such file"):
        extract(tmp_path / "set.zip")


def test_another_number_of_photos_than_known_is_an_error(archive):
    with pytest.raises(DownloadError, match="3 photos below set/train, set/test, expected 400"):
        extract(archive, photos=400)
    with pytest.raises(DownloadError, match="0 photos below nowhere, expected 1"):
        extract(archive, inside=("nowhere",))
    assert leftovers(archive) == []


def test_unpacking_needs_room_for_the_photos_taken(archive, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=3000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DownloadError, match=r"3.0 kB more are needed .* set paths.data to"):
        extract(archive)
    assert len(tree(extract(archive, inside=("set/test",)))) == 1


def test_a_disk_that_fills_up_while_unpacking_leaves_no_folder(archive, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(DownloadError, match="No space left on device.*paths.data"):
        extract(archive)
    assert leftovers(archive) == []


# -- from the web to folders --------------------------------------------------------------------


def test_an_archive_is_fetched_into_its_folders_once(tmp_path):
    write_tar(tmp_path / "made.tgz")
    content = (tmp_path / "made.tgz").read_bytes()
    folders = (Folder("a", ("set/train", "set/test"), 3), Folder("b", ("set/val",), 1))
    root = tmp_path / "data"
    with serve(content) as (site, address):
        digest = hashlib.sha256(content).hexdigest()
        known = Archive(f"{address}/set.tgz", digest, len(content), folders)
        fetch_archive(known, root)
        assert tree(root / "b") == {"4.jpg": b"four"}
        assert len(tree(root / "a")) == 3
        (root / "set.tgz").unlink()
        fetch_archive(known, root)
        assert len(site.requests) == 1
        shutil.rmtree(root / "b")
        (root / "a" / "mine.jpg").write_bytes(b"mine")
        fetch_archive(known, root)
        assert tree(root / "b") == {"4.jpg": b"four"}
        assert len(tree(root / "a")) == 4

"""The table of public data sets, and archives of a server on this machine."""

import re
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from omegaconf import OmegaConf

from srlit.data.public_sets import ARCHIVES, Archive, Folder, fetch_archive
from tests.data.server import serve
from tests.helpers import compose_config

FOLDERS = (Folder("a", ("set/train", "set/test"), 3), Folder("b", ("set/val",), 1))
PHOTOS = ("set/train/1.jpg", "set/train/2.jpg", "set/test/3.jpg", "set/val/4.jpg")


@pytest.fixture
def site(tmp_path):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for name in PHOTOS:
            archive.writestr(name, name * 100)
    content = (tmp_path / "made.zip").read_bytes()
    with serve(content) as (site, address):
        site.archive = Archive(
            f"{address}/set.zip", sha256(content).hexdigest(), len(content), FOLDERS
        )
        yield site


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_missing_folders_are_made(site, tmp_path):
    root = tmp_path / "data"
    fetch_archive(site.archive, root)
    assert names(root / "a") == ["1.jpg", "2.jpg", "3.jpg"]
    (root / "set.zip").unlink()
    fetch_archive(site.archive, root)
    assert len(site.requests) == 1
    shutil.rmtree(root / "b")
    (root / "a" / "mine.jpg").write_bytes(b"mine")
    fetch_archive(site.archive, root)
    assert names(root / "b") == ["4.jpg"]
    assert names(root / "a") == ["1.jpg", "2.jpg", "3.jpg", "mine.jpg"]


@pytest.mark.parametrize("checksum", [True, False])
def test_what_several_fetch_at_once_is_fetched_once(site, tmp_path, checksum):
    """Locks belong to open files, not to processes: threads wait as processes do."""
    root = tmp_path / "data"
    archive = site.archive if checksum else site.archive._replace(sha256=None, size=None)
    with ThreadPoolExecutor(3) as pool:
        for task in [pool.submit(fetch_archive, archive, root) for _ in range(3)]:
            task.result()
    assert len(site.requests) == 1
    assert names(root / "a") == ["1.jpg", "2.jpg", "3.jpg"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_folders_of_a_config_come_from_its_archives(name):
    photos = compose_config("train", f"data={name}").data.photos
    configured = re.findall(r"\$\{paths\.data\}/(\w+)", str(OmegaConf.to_container(photos)))
    assert configured
    assert set(configured) <= {folder.name for archive in ARCHIVES[name] for folder in archive[3]}

"""Public data sets: their archives, checksums, and the folders that they become."""

import logging
from pathlib import Path
from typing import NamedTuple

from srlit.data.unpack import is_filled, unpack
from srlit.utils.download import disk_errors, download
from srlit.utils.file_lock import exclusive_lock

log = logging.getLogger(__name__)


class Folder(NamedTuple):
    """A folder below `paths.data` that is made from an archive.

    Attributes:
        name: the folder's name.
        inside: the folders in the archive whose photos it holds.
        photos: number of photos.
    """

    name: str
    inside: tuple[str, ...]
    photos: int


class Archive(NamedTuple):
    """A file to download.

    Attributes:
        url: its address.
        sha256: its digest; None where nobody has published one.
        size: in bytes; None where nobody has published it.
        folders: the folders that are made from it.
    """

    url: str
    sha256: str | None
    size: int | None
    folders: tuple[Folder, ...]

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]

    def is_unpacked(self, root: Path) -> bool:
        """Whether all its folders are there."""
        return all(is_filled(root / folder.name) for folder in self.folders)


def fetch_archive(archive: Archive, root: Path, *, key: str = "paths.data") -> None:
    """Download an archive and make those of its folders that are missing; the archive stays.

    Args:
        archive: what to download.
        root: where its folders belong.
        key: the config key that chose it, for errors.

    Raises:
        DownloadError: the archive is unavailable or another one, or the disk is full.
    """
    if archive.is_unpacked(root):
        return
    file = root / archive.file
    lock = root / f".{archive.file}.lock"
    with disk_errors(root, key), exclusive_lock(lock, f"fetching {archive.file}"):
        if archive.is_unpacked(root):  # by another process meanwhile
            return
        download(archive.url, file, sha256=archive.sha256, size=archive.size, key=key)
        for name, inside, photos in archive.folders:
            unpack(file, root / name, key=key, inside=inside, photos=photos)
        log.info("%s is unpacked and can be removed", file)


# Agustsson and Timofte 2017. Digests and sizes: TensorFlow Datasets,
# tensorflow_datasets/datasets/div2k/checksums.tsv.
DIV2K_TRAIN = Archive(
    url="https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip",
    sha256="9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
    size=3_530_603_713,
    folders=(Folder("DIV2K_train_HR", ("DIV2K_train_HR",), 800),),
)
DIV2K_VALID = Archive(
    url="https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_valid_HR.zip",
    sha256="20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
    size=448_993_893,
    folders=(Folder("DIV2K_valid_HR", ("DIV2K_valid_HR",), 100),),
)

# Lim et al. 2017 (EDSR), without its low-resolution copies. Only an MD5 is
# published (catalyst-team/esrgan: 5d3f39443d5e9489bff8963f8f26cb03), no SHA-256.
FLICKR2K = Archive(
    url="https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar",
    sha256=None,
    size=None,
    folders=(Folder("Flickr2K_HR", ("Flickr2K/Flickr2K_HR",), 2650),),
)

# Arbelaez et al. 2011. The size is from tensorpack's dataflow/dataset/bsds500.py; size and digest
# in several reproductions on GitHub that pin the file and agree.
#
# BSD100 is the test set of BSDS300 (Martin et al. 2001). BSDS500 took over BSDS300's training and
# test photos as its "train" and "val" and added 200 new ones as "test": so "val" is BSD100, as JPEG
# of 481x321 pixels (the PNG copies that go round with benchmarks are cropped to 480x320).
BSDS_IMAGES = "BSR/BSDS500/data/images"
BSDS500 = Archive(
    url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz",
    sha256="97e49d31764f3912f0c4122707d53062ac9e783ba0f095e447a4d53c1a41af8e",
    size=70_763_455,
    folders=(
        Folder("bsds400", (f"{BSDS_IMAGES}/train", f"{BSDS_IMAGES}/test"), 400),
        Folder("bsd100", (f"{BSDS_IMAGES}/val",), 100),
    ),
)

# The archives of each data set, by the name of its config in conf/data.
ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "div2k": (DIV2K_TRAIN, DIV2K_VALID, BSDS500),
    "flickr2k": (FLICKR2K, BSDS500),
    "df2k": (DIV2K_TRAIN, DIV2K_VALID, FLICKR2K, BSDS500),
    "bsds400": (BSDS500,),
    "bsd100": (BSDS500,),
    "div2k_valid": (DIV2K_VALID,),
}

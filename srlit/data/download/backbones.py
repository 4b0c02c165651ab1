"""Pretrained backbones for machines without network: downloaded, checked, cut to their features."""

import logging
from pathlib import Path
from typing import NamedTuple

from srlit.data.download.common import DownloadError, disk_errors
from srlit.data.download.download import download
from srlit.perceptual.backbones import digest_file, features_file, read_features, sha256_of
from srlit.utils.atomic import atomic_file, write_text
from srlit.utils.file_lock import alone

log = logging.getLogger(__name__)


class Release(NamedTuple):
    """A file of torchvision's with a whole classifier.

    Attributes:
        url: where it lies.
        sha256: its digest; torchvision's file names hold the first 8 digits of it.
        size: in bytes.
    """

    url: str
    sha256: str
    size: int

    @property
    def file(self) -> str:
        """What the file is called."""
        return self.url.rpartition("/")[2]


SITE = "https://download.pytorch.org/models"

# torchvision's IMAGENET1K_V1 of each.
RELEASES = {
    "alexnet": Release(
        url=f"{SITE}/alexnet-owt-7be5be79.pth",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        size=244_408_911,
    ),
    "squeezenet1_1": Release(
        url=f"{SITE}/squeezenet1_1-b8a52dc0.pth",
        sha256="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        size=4_958_839,
    ),
    "vgg16": Release(
        url=f"{SITE}/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        size=553_433_881,
    ),
    "vgg19": Release(
        url=f"{SITE}/vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        size=574_673_361,
    ),
}


def fetch_backbone(net: str, folder: Path, *, key: str = "weights.dir") -> Path:
    """See that a folder holds a network's features: verify the file, or make it.

    The classifier comes from torchvision's cache or is downloaded beside it. It is compared with
    its pinned SHA-256 and cut to its features. Their own SHA-256 is noted beside them; whoever
    reads them compares.

    Args:
        net: a key of `RELEASES`.
        folder: where the file belongs.
        key: the config key that chose the folder, for errors.

    Returns:
        The file.

    Raises:
        DownloadError: it is not to be had, is another one, or has no room on the disk.
        MissingWeightsError: the file that is there is damaged, or another network's.
    """
    target = folder / features_file(net)
    if not target.exists():
        with disk_errors(folder, key), alone(folder / f".{net}.lock", f"fetching {net}"):
            if not target.exists():  # another process may have brought it meanwhile
                make_features(RELEASES[net], target, key)
    read_features(net, target)
    known = "as it was written" if digest_file(target).exists() else "put there by hand"
    log.info("%s: %s, sha256 %s", target, known, sha256_of(target))
    return target


def make_features(release: Release, target: Path, key: str) -> None:
    """Cut a classifier of torchvision's cache, or one that is downloaded for it and removed.

    Raises:
        DownloadError: it is not to be had, is another one, or has no room on the disk.
    """
    import torch

    cached = Path(torch.hub.get_dir()) / "checkpoints" / release.file
    if cached.is_file():
        write_features(release, cached, target)
        return
    original = target.with_name(release.file)
    download(release.url, original, sha256=release.sha256, size=release.size, key=key)
    write_features(release, original, target)
    for leftover in (original, original.with_name(f"{original.name}.json")):
        leftover.unlink(missing_ok=True)


def write_features(release: Release, original: Path, target: Path) -> None:
    """Keep the features of a classifier, and note their digest.

    Raises:
        DownloadError: the classifier is another file, such as one that was put there by hand.
    """
    import torch
    from safetensors.torch import save_file

    if (found := sha256_of(original)) != release.sha256:
        msg = f"{original}: sha256 {found}, expected {release.sha256}; remove the file"
        raise DownloadError(msg)
    state = torch.load(original, map_location="cpu", weights_only=True)
    features = {k: v.contiguous() for k, v in state.items() if k.startswith("features.")}
    with atomic_file(target) as sibling:
        save_file(features, sibling)
        # Noted first: features without a digest are those that somebody put there by hand.
        write_text(digest_file(target), f"{sha256_of(sibling)}  {target.name}\n")

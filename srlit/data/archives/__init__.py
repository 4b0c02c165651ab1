"""Files from the web: resumed where they were cut, whole or not at all.

Archives become folders of photos, classifiers become the backbones of losses and metrics.
"""

from srlit.data.archives.backbones import RELEASES, fetch_backbone
from srlit.data.archives.catalogue import CATALOGUE
from srlit.data.archives.common import DownloadError
from srlit.data.archives.download import download
from srlit.data.archives.fetch import fetch_archive
from srlit.data.archives.unpack import unpack

__all__ = [
    "CATALOGUE",
    "RELEASES",
    "DownloadError",
    "download",
    "fetch_archive",
    "fetch_backbone",
    "unpack",
]

"""Files from the web: resumed where they were cut, whole or not at all.

Archives become folders of photos, classifiers become the backbones of losses and metrics.
"""

from srlit.data.download.backbones import RELEASES, fetch_backbone
from srlit.data.download.common import DownloadError
from srlit.data.download.download import download
from srlit.data.download.fetch import fetch_archive
from srlit.data.download.unpack import unpack
from srlit.data.download.urls import CATALOGUE

__all__ = [
    "CATALOGUE",
    "RELEASES",
    "DownloadError",
    "download",
    "fetch_archive",
    "fetch_backbone",
    "unpack",
]

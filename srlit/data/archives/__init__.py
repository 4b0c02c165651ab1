"""Archives from the web to folders of photos: resumed where they were cut, whole or not at all."""

from srlit.data.archives.catalogue import CATALOGUE
from srlit.data.archives.common import DownloadError
from srlit.data.archives.download import download
from srlit.data.archives.fetch import fetch_archive
from srlit.data.archives.unpack import unpack

__all__ = ["CATALOGUE", "DownloadError", "download", "fetch_archive", "unpack"]

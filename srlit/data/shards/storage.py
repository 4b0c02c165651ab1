"""Where the files of shards lie: a folder, or a bucket of S3-compatible storage."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any

from srlit.data.shards.extra import optional
from srlit.data.shards.layout import Chunk, ShardError

log = logging.getLogger(__name__)

REMOTE = "s3://"
REQUEST_TRIES = 4
CONNECT_SECONDS = 10


def is_remote(location: str) -> bool:
    """Whether this names a bucket."""
    return location.startswith(REMOTE)


def open_storage(location: str, options: Mapping[str, Any]) -> "Folder | Bucket":
    """Where a location's files are read.

    Args:
        location: a folder, or s3://bucket/prefix.
        options: of boto3's S3 client.

    Raises:
        ShardError: it is neither.
        ModuleNotFoundError: a bucket, and the optional extra is not installed.
    """
    if is_remote(location):
        return Bucket(location, options)
    if "://" in location:
        raise ShardError(f"{location}: expected a folder or {REMOTE}bucket/prefix")
    return Folder(location)


class Folder:
    """Files of a local folder."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.folder = Path(location).expanduser()

    def whole(self, name: str) -> bytes:
        """A file's content.

        Raises:
            ShardError: it cannot be read.
        """
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise ShardError(f"{self.location}/{name}: {error.strerror}") from None

    def part(self, chunk: Chunk, first: int, length: int) -> bytes:
        """Some bytes of a chunk.

        Raises:
            ShardError: it cannot be read, or is cut.
        """
        return read_part(self.folder / chunk.name, chunk, first, length)


def read_part(path: Path, chunk: Chunk, first: int, length: int) -> bytes:
    """Some bytes of a chunk's file.

    Raises:
        ShardError: it cannot be read, or has another size than it should.
    """
    try:
        # Opened anew each time: no handle to carry into another process.
        with path.open("rb") as file:
            check_size(chunk, os.fstat(file.fileno()).st_size, str(path))
            file.seek(first)
            return file.read(length)
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from None


def check_size(chunk: Chunk, size: int, where: str) -> None:
    """See that a chunk's file is whole.

    Raises:
        ShardError: it has another size than the index says.
    """
    if size != chunk.size:
        msg = f"{where}: {size} bytes, expected {chunk.size}: the shard is cut or of another set"
        raise ShardError(msg)


class Bucket:
    """Objects in S3-compatible storage; every process makes a client of its own."""

    def __init__(self, location: str, options: Mapping[str, Any]) -> None:
        optional("boto3")
        self.location = location.rstrip("/")
        self._bucket, _, self._prefix = self.location.removeprefix(REMOTE).partition("/")
        self._options = dict(options)
        self._made: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Connections stay behind."""
        return {**self.__dict__, "_made": None}

    @property
    def _client(self) -> Any:  # noqa: ANN401 - of an optional package
        """This process's client: connections that a fork inherits are its parent's."""
        if self._made is None or self._made[0] != os.getpid():
            config = optional("botocore.config").Config(
                retries={"max_attempts": REQUEST_TRIES, "mode": "standard"},
                connect_timeout=CONNECT_SECONDS,
            )
            session = optional("boto3").Session()
            client = session.client("s3", **{"config": config, **self._options})
            self._made = os.getpid(), client
        return self._made[1]

    def whole(self, name: str) -> bytes:
        """An object's content.

        Raises:
            ShardError: it cannot be fetched.
        """
        content = BytesIO()
        self.fetch(name, content)
        return content.getvalue()

    def fetch(self, name: str, file: BufferedIOBase) -> None:
        """Write an object's content into a file.

        Raises:
            ShardError: it cannot be fetched.
        """
        with self._named(name):
            self._client.download_fileobj(self._bucket, self._key(name), file)

    def part(self, chunk: Chunk, first: int, length: int) -> bytes:
        """Some bytes of a chunk.

        Raises:
            ShardError: they cannot be fetched.
        """
        errors = optional("botocore.exceptions")
        # What the server answers, and what the client itself tried again already.
        final = errors.ClientError, errors.ConnectionError, errors.NoCredentialsError
        with self._named(chunk.name):
            for _ in range(REQUEST_TRIES - 1):
                try:
                    return self._range(chunk.name, first, length)
                except final:
                    raise
                except Exception as error:  # noqa: BLE001 - of a connection that broke half-way
                    log.info("%s/%s: asked once more: %s", self.location, chunk.name, error)
            return self._range(chunk.name, first, length)

    def _range(self, name: str, first: int, length: int) -> bytes:
        answer = self._client.get_object(
            Bucket=self._bucket, Key=self._key(name), Range=f"bytes={first}-{first + length - 1}"
        )
        with closing(answer["Body"]) as body:
            data: bytes = body.read()
        if len(data) != length:
            raise ShardError(f"{len(data)} bytes, expected {length}: the shard is cut")
        return data

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Say of every error which object it is about."""
        try:
            yield
        except Exception as error:  # those of botocore and urllib3
            msg = f"{self.location}/{name}: cannot be fetched: {error}"
            raise ShardError(msg) from error

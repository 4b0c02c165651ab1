"""SHA-256 of every checkpoint of a run, beside them: damage is known before a file is used.

`manifest.json` maps the digest of a file's content to its name. A checkpoint is entered before it
gets its name, and what it replaces is forgotten after: whenever a kill comes, the file that is
there is one that the manifest knows.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from srlit.utils.atomic import write_json

MANIFEST = "manifest.json"


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, dict[str, Any]] | None:
    """Digest to name and size of the checkpoints of a folder; None where none can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    listed = content.get("sha256") if isinstance(content, dict) else None
    return listed if isinstance(listed, dict) else None


def enter(folder: Path, name: str, content: Path) -> None:
    """List what is about to be called `name`, beside what bears that name now.

    Args:
        folder: of the checkpoints.
        name: the file's name to come.
        content: where the bytes are now.
    """
    digest = digest_of(content)
    listed = read_manifest(folder) or {}
    listed.pop(digest, None)
    listed[digest] = {"name": name, "bytes": content.stat().st_size}
    write_json(folder / MANIFEST, {"sha256": listed})


def settle(folder: Path) -> None:
    """Forget files that are gone, and what bore a name before."""
    listed = read_manifest(folder) or {}
    digests: dict[str, list[str]] = {}
    for digest, entry in listed.items():
        digests.setdefault(entry["name"], []).append(digest)
    current = {digest for name in digests for digest in _current(folder / name, digests[name])}
    kept = {digest: entry for digest, entry in listed.items() if digest in current}
    if kept != listed:
        write_json(folder / MANIFEST, {"sha256": kept})


def _current(path: Path, digests: list[str]) -> list[str]:
    """Those of a name's digests that are to be kept.

    A kill before the rename leaves two: of the file, and of what was to replace it.
    """
    if not path.is_file():
        return []
    if len(digests) == 1:
        return digests
    found = digest_of(path)
    return [found] if found in digests else digests[-1:]


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, by the manifest beside it; None if nothing is known."""
    listed = read_manifest(path.parent)
    if listed is None:
        if (path.parent / MANIFEST).exists():
            return f"{MANIFEST} beside it cannot be read: remove it to load without verification"
        return None
    if digest_of(path) in listed:
        return None
    return (
        f"damaged: its SHA-256 is none of those in {MANIFEST} beside it (a file that came from "
        "elsewhere belongs into another folder)"
    )

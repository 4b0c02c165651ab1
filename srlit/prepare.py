"""Get photos ready: `python -m srlit.prepare data=div2k`; or backbones: `... weights`.

Downloads a public data set where its folders are missing, decodes every file once, says what is
wrong or odd about each, and packs the pixels, so that training copies memory instead of decoding.
Can be interrupted and run again: what is done stays done.

`python -m srlit.prepare weights` downloads and verifies pretrained backbones instead, into a folder
that a machine without network can be given.
"""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from srlit.config import ConfigError, build, entry_point
from srlit.config.entry import SomeFailed, choice

if TYPE_CHECKING:
    from srlit.data.audit import Audit
    from srlit.data.photo_sets import PhotoSets

log = logging.getLogger(__name__)


def prepare(cfg: DictConfig) -> "dict[str, Audit]":
    """Download, check, pack.

    Returns:
        What was found of each split.

    Raises:
        SystemExit: too many files that cannot be used, or folders that are missing; all others are
            ready.
    """
    from srlit.data.audit import print_listing, write_listing
    from srlit.data.store import packing

    if cfg.download:
        fetch(cfg)
    sets: PhotoSets = build(cfg.data.photos)
    if cfg.shards:
        check_shards(cfg, sets)
    store = Path(cfg.paths.store).expanduser() if cfg.paths.store else None
    into = store if cfg.pack else None
    with packing(into):
        found, missing = check(cfg, sets, into)
    if not found:
        msg = f"data={choice('data', '?')}: no photos for any of splits={list(cfg.splits)}"
        raise ConfigError("; ".join([msg, *dict.fromkeys(missing.values())]))
    print_listing(found)
    write_listing(Path(cfg.paths.run) / "files.json", found)
    if into:
        warn_of_unpacked(into, found)
    if cfg.verify:
        verify(store)
    finish(cfg, found, missing)
    return found


def finish(cfg: DictConfig, found: "dict[str, Audit]", missing: dict[str, str]) -> None:
    """Write shards for `data=litdata`, one folder for each split, and name what is missing.

    Raises:
        SomeFailed: more files than `data.max_invalid_fraction` cannot be used.
        SystemExit: a split's photos are missing.
    """
    from srlit.data.audit import too_many
    from srlit.data.shards import write_shards

    for split, audit in found.items():
        if cfg.shards and audit.photos:
            write_shards(audit.photos, Path(cfg.shards).expanduser() / split)
    gaps = [f"no photos for {split}: {reason}" for split, reason in missing.items()]
    end = SystemExit if gaps else SomeFailed
    for split, (photos, rejected, _) in found.items():
        if rejected:
            message = f"{len(rejected)} files of {split} cannot be used: {cfg.paths.run}/files.json"
            log.warning("%s lists them", message)
            if too_many(len(rejected), len(photos) + len(rejected), cfg.data.max_invalid_fraction):
                gaps.append(f"{message}; data.max_invalid_fraction={cfg.data.max_invalid_fraction}")
    if gaps:
        raise end("\n".join(gaps))


def fetch(cfg: DictConfig) -> None:
    """Download what the chosen data set lacks, if it is a public one."""
    from srlit.data.public_sets import ARCHIVES, fetch_archive

    for archive in ARCHIVES.get(choice("data", ""), ()):
        fetch_archive(archive, Path(cfg.paths.data).expanduser())


def check(
    cfg: DictConfig, sets: "PhotoSets", store: Path | None
) -> "tuple[dict[str, Audit], dict[str, str]]":
    """Audit each split, packing on the way; a split without photos does not stop the others.

    Returns:
        What was found of each split, and what is wrong with those whose photos are not there.
    """
    from srlit.data.audit import Checks

    cache = Path(cfg.paths.cache).expanduser()
    checks = Checks(cfg.scale, max_invalid_fraction=1.0, cache=cache, store=store)
    found: dict[str, Audit] = {}
    missing: dict[str, str] = {}
    for split in cfg.splits:
        if not sets.has(split):
            log.info("no photos for %s: none are configured", split)
            continue
        try:
            sets.split(split)
        except (FileNotFoundError, ValueError) as error:
            log.warning("no photos for %s: %s", split, error)
            missing[split] = str(error)
        else:
            found[split] = sets.audited(split, 1, checks)
    return found, missing


def warn_of_unpacked(store: Path, found: "dict[str, Audit]") -> None:
    """Say where packing was asked for and did nothing, as for photos of shards."""
    from srlit.data.store import PackedStore

    packed = PackedStore(store)
    photos = [photo for audit in found.values() for photo in audit.photos]
    if left := sum(photo.digest not in packed for photo in photos):
        reason = "those of shards (data=litdata) are trained on from there"
        log.warning("pack=true: %d of %d photos are not packed: %s", left, len(photos), reason)


def verify(store: Path | None) -> None:
    """Read all packed pixels, whether they were packed now or before.

    Raises:
        SystemExit: some are not what was written.
    """
    from rich.progress import track

    from srlit.data.store import PackedStore

    packed = PackedStore(store)
    if not packed:
        log.warning("verify=true: paths.store=%s holds no packed photos", store)
        return
    digests = track(packed, "verifying packed pixels")
    if damaged := {packed.shard_of(d) for d in digests if not packed.is_whole(d)}:
        shards = "\n".join(f"  {shard}" for shard in sorted(damaged))
        raise SystemExit(f"damaged: remove these files and run srlit.prepare again\n{shards}")
    log.info("%d packed photos are as they were written", len(packed))


def check_shards(cfg: DictConfig, sets: "PhotoSets") -> None:
    """See that shards can be written, before hours are spent on the photos.

    Raises:
        ConfigError: litdata is not installed, or shards cannot hold what is chosen.
    """
    from srlit.data.photo_sets import by_size
    from srlit.data.shards import import_litdata

    try:
        import_litdata()
    except ModuleNotFoundError as error:
        raise ConfigError(f"shards={cfg.shards}: {error}") from None
    for split in cfg.splits:
        try:
            paths = sets.split(split)
        except (FileNotFoundError, ValueError):
            continue  # `check` says so
        if split == "train" and not by_size(sets.groups()):
            raise ConfigError(
                f"shards={cfg.shards}: data={choice('data', '?')} weighs its sources by "
                "data.photos.weights, and shards hold no weights: set data.photos.weights=null, or "
                "write shards of each source alone"
            )
        if any(sets.lr_of(path) is not None for path in paths):
            raise ConfigError(
                f"shards={cfg.shards}: data={choice('data', '?')} has real pairs for {split}, and "
                "shards hold single photos only: leave shards=null and train from the files"
            )


def prepare_weights(cfg: DictConfig) -> list[Path]:
    """Download pretrained backbones and keep their features, or verify the files that are there.

    Returns:
        The files.

    Raises:
        ConfigError: no folder is named.
        OSError: weights cannot be downloaded, or a file cannot be written or is damaged.
    """
    from srlit.perceptual.backbones import save_features

    if not cfg.weights.dir:
        raise ConfigError("weights.dir=null: expected a folder for backbones; or set SRLIT_WEIGHTS")
    folder = Path(cfg.weights.dir).expanduser()
    return [save_features(net, folder) for net in cfg.nets]


def main() -> None:
    """Command line: photos, or `weights` as its first word."""
    if sys.argv[1:2] == ["weights"]:
        del sys.argv[1]
        entry_point("prepare_weights")(prepare_weights)()
    else:
        entry_point("prepare")(prepare)()


if __name__ == "__main__":
    main()

"""What the command does, and that it can be stopped and started; it runs as a user runs it once."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srlit.config import ConfigError
from srlit.data.public_sets import ARCHIVES, Archive, Folder
from srlit.data.store import PackedStore
from srlit.prepare import prepare
from tests.data.photos import folder_options, pair_options, shards_of, write_flat, write_pairs
from tests.data.server import serve
from tests.helpers import compose_config


def arguments(tmp_path, *more):
    return [*(f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "store")), *more]


def of_folder(folder):
    return ["data=folder", *folder_options(train_folder=folder, holdout=2)]


def prepare_in(tmp_path, *more):
    return prepare(compose_config("prepare", *arguments(tmp_path, *more)))


def listing_in(tmp_path):
    return json.loads((tmp_path / "runs" / "prepare" / "files.json").read_text())


def files_in(tmp_path, kind):
    """The "usable" or "left_out" files of all splits."""
    return [file for found in listing_in(tmp_path).values() for file in found[kind]]


def usable_in(tmp_path):
    return {split: len(found["usable"]) for split, found in listing_in(tmp_path).items()}


def damage(store):
    """Flip the last byte of a shard; gives its path."""
    shard = shards_of(store)[0]
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 255]))
    return shard


def pairs_in(tmp_path, photo):
    write_pairs(tmp_path / "pairs", photo)
    return ["data=pairs", *pair_options(tmp_path / "pairs"), "data.photos.holdout=1"]


def test_a_folder_is_checked_packed_and_listed(photo_folder, tmp_path, capsys):
    """Names need not be UTF-8, and bad files end it with a failure after the rest is done."""
    Image.new("L", (60, 50), 7).save(photo_folder / "gray\udce9\n.png")
    (photo_folder / "bad\udce9.png").write_text("no image")
    with pytest.raises(SystemExit, match=r"1 files of .*data\.max_invalid_fraction"):
        prepare_in(tmp_path, *of_folder(photo_folder))
    assert len(PackedStore(tmp_path / "store")) == 13
    (bad,) = files_in(tmp_path, "left_out")
    assert bad["shown"].endswith("bad\\xe9.png")
    assert "not an image" in bad["reason"]
    usable = {file["file"]: file for file in files_in(tmp_path, "usable")}
    assert len(usable) == 13
    gray = usable[str(photo_folder / "gray\udce9\n.png")]
    assert "gray" in gray["notes"]
    assert gray["size"] == [60, 50]
    assert "no colour to learn from" in capsys.readouterr().out


def test_shards_are_written_once_for_each_split(photo_folder, tmp_path, caplog):
    pytest.importorskip("litdata")
    shards = tmp_path / "shards"
    options = [*of_folder(photo_folder), "pack=false", f"shards={shards}"]
    found = prepare_in(tmp_path, *options)
    written = {path: path.stat().st_mtime_ns for path in shards.glob("[!.]*/*")}
    assert {path.parent.name for path in written} == {"train", "val", "test"}
    assert not (tmp_path / "store").exists()
    prepare_in(tmp_path, *options)
    assert {path: path.stat().st_mtime_ns for path in shards.glob("[!.]*/*")} == written
    sets = [f"data.photos.{split}={shards / split}" for split in found]
    again = prepare_in(tmp_path, "data=litdata", *sets)
    for split, audit in found.items():
        assert [p.digest for p in again[split].photos] == [p.digest for p in audit.photos]
    assert caplog.text.count("not packed") == 1
    assert "pack=true: 12 of 12 photos are not packed" in caplog.text


def test_shards_of_real_pairs_are_refused_before_any_work(tmp_path, photo):
    pytest.importorskip("litdata")
    options = [*pairs_in(tmp_path, photo), f"shards={tmp_path / 'shards'}"]
    with pytest.raises(ConfigError, match="real pairs for train, and shards hold single photos"):
        prepare_in(tmp_path, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]


def test_what_is_packed_is_verified_with_or_without_packing(photo_folder, tmp_path, caplog):
    options = [*of_folder(photo_folder), "verify=true"]
    prepare_in(tmp_path, *options, "pack=false")
    assert "are as they were written" not in caplog.text
    assert f"paths.store={tmp_path / 'store'} holds no packed photos" in caplog.text
    with caplog.at_level("INFO"):
        prepare_in(tmp_path, *options)
        prepare_in(tmp_path, *options, "pack=false")
    assert caplog.text.count("12 packed photos are as they were written") == 2
    shard = damage(tmp_path / "store")
    for pack in ("true", "false"):
        with pytest.raises(SystemExit, match=shard.name):
            prepare_in(tmp_path, *options, f"pack={pack}")
    shard.unlink()
    prepare_in(tmp_path, *options)


def test_shards_of_weighted_sources_are_refused_before_any_work(photo_folder, tmp_path):
    """Training from them would ignore the weights."""
    pytest.importorskip("litdata")
    other = tmp_path / "other"
    write_flat(other, 3)
    sources = "data.photos.sources"
    first = {"train_folder": photo_folder, "val_folder": "null", "test_folder": "null"}
    options = ["data=folders", "pack=false", f"shards={tmp_path / 'shards'}"]
    options += [f"{sources}.div2k.{key}={value}" for key, value in first.items()]
    options += [f"+{sources}.div2k.holdout=2", f"{sources}.flickr2k.train_folder={other}"]
    with pytest.raises(ConfigError, match="shards hold no weights: set data.photos.weights=null"):
        prepare_in(tmp_path, *options)
    assert not (tmp_path / "shards").exists()
    found = prepare_in(tmp_path, *options, "data.photos.weights=null")
    assert len(found["train"].photos) == 11


def test_folders_without_photos_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no photos for any of splits"):
        prepare_in(tmp_path, "data=folder", "data.photos.train_folder=nowhere")


# `srlit.prepare` with two workers, which pack one part; others wait until the pool is cancelled.
HELD = """
import functools, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from srlit.data import scan
from srlit.prepare import main

first, cancelled = Path("first"), Path("cancelled")
scan_files, shutdown = scan.scan_files, ProcessPoolExecutor.shutdown

@functools.wraps(scan_files)
def held(*arguments, **options):
    try:
        first.touch(exist_ok=False)
    except FileExistsError:
        while not cancelled.exists():
            time.sleep(0.01)
    return scan_files(*arguments, **options)

def cancel(pool, wait=True, *, cancel_futures=False):
    shutdown(pool, wait=False, cancel_futures=cancel_futures)
    cancelled.touch()

scan.scan_files, scan.cores, ProcessPoolExecutor.shutdown = held, lambda: 2, cancel
main()
"""


def test_an_interrupt_keeps_what_is_packed(photo_folder, tmp_path):
    """Ctrl-C after the first of many parts, then again to the end."""
    pixels = np.random.default_rng(0).integers(0, 255, (700, 1000, 3), np.uint8)
    for i in range(24):
        pixels[0, 0] = i
        Image.fromarray(pixels).save(photo_folder / f"large{i:02}.png", compress_level=1)
    store = tmp_path / "store"
    command = [sys.executable, "-c", HELD, *arguments(tmp_path, *of_folder(photo_folder))]
    process = subprocess.Popen(command, cwd=tmp_path)
    while not shards_of(store) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert 0 < len(PackedStore(store)) < 36
    prepare_in(tmp_path, *of_folder(photo_folder))
    assert len(PackedStore(store)) == 36


def test_a_public_set_is_downloaded_once_checked_and_packed(photo_folder, tmp_path, monkeypatch):
    """The table names a server of this machine, which cuts the connection once."""
    body = Path(shutil.make_archive(f"{tmp_path}/set", "zip", tmp_path, "photos")).read_bytes()
    with serve(body) as (site, address):
        site.cuts.append(len(body) // 2)
        digest, folders = hashlib.sha256(body).hexdigest(), (Folder("mine", ("photos",), 12),)
        archive = Archive(f"{address}/set.zip", sha256=digest, size=len(body), folders=folders)
        monkeypatch.setitem(ARCHIVES, "folder", (archive,))
        monkeypatch.setattr("srlit.prepare.choice", lambda *_: "folder")
        data = tmp_path / "data"
        prepare_in(tmp_path, *of_folder(data / "mine"), f"paths.data={data}")
        prepare_in(tmp_path, *of_folder(data / "mine"), f"paths.data={data}")
    assert len(site.requests) == 2
    assert len(PackedStore(tmp_path / "store")) == 12


def test_few_bad_files_are_reported_and_no_failure(photo_folder, tmp_path, caplog):
    (photo_folder / "bad.png").write_bytes(b"x")
    found = prepare_in(tmp_path, *of_folder(photo_folder), "data.max_invalid_fraction=0.5")
    assert sum(len(audit.rejected) for audit in found.values()) == 1
    assert [Path(bad["file"]).name for bad in files_in(tmp_path, "left_out")] == ["bad.png"]
    assert "files.json" in caplog.text


def test_a_split_of_which_nothing_is_usable_stops_no_other(photo_folder, tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "bad.png").write_bytes(b"x")
    options = [*of_folder(photo_folder), f"data.photos.val_folder={tmp_path / 'val'}"]
    with pytest.raises(SystemExit, match=r"1 files of .*data\.max_invalid_fraction"):
        prepare_in(tmp_path, *options)
    assert usable_in(tmp_path) == {"train": 10, "val": 0, "test": 2}


def test_pairs_are_packed_and_a_split_without_usable_ones_stops_no_other(tmp_path, photo):
    write_pairs(tmp_path / "val", photo, count=1)
    (tmp_path / "val" / "lr" / "00.png").write_bytes(b"x")
    with pytest.raises(SystemExit, match=r"2 files of val .*data\.max_invalid_fraction"):
        prepare_in(tmp_path, *pairs_in(tmp_path, photo), *pair_options(tmp_path / "val", "val"))
    assert usable_in(tmp_path) == {"train": 5, "val": 0, "test": 1}
    assert listing_in(tmp_path)["test"]["usable"][0]["lr"]["size"] == [60, 48]
    assert len(PackedStore(tmp_path / "store")) == 12  # the HR photo of val is one of the pairs


def test_a_folder_that_is_missing_is_a_failure_after_the_rest_is_done(photo_folder, tmp_path):
    options = [*of_folder(photo_folder), "data.photos.test_folder=nowhere"]
    with pytest.raises(SystemExit, match="for test: data.photos.test_folder=nowhere: no such"):
        prepare_in(tmp_path, *options)
    assert {*listing_in(tmp_path)} == {"train", "val"}
    assert len(PackedStore(tmp_path / "store")) == 12


def test_a_split_that_is_not_configured_is_no_failure(photo_folder, tmp_path):
    options = ["data=bsd100", f"data.photos.folder={photo_folder}", "download=false"]
    assert {*prepare_in(tmp_path, *options)} == {"test"}

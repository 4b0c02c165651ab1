"""What the command does, and that it can be stopped and started; it runs as a user runs it once."""

import hashlib
import json
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from srlit.config import ConfigError
from srlit.data.public_sets import ARCHIVES, Archive, Folder
from srlit.data.store import PackedStore
from srlit.prepare import prepare
from tests.data.photos import write_pairs
from tests.data.server import serve
from tests.helpers import compose_config


def arguments(tmp_path, *more):
    return [*(f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "store")), *more]


def of_folder(folder):
    return ["data=folder", f"data.photos.train_folder={folder}", "data.photos.holdout=2"]


def prepare_in(tmp_path, *more):
    return prepare(compose_config("prepare", *arguments(tmp_path, *more)))


def listing_in(tmp_path):
    return json.loads((tmp_path / "runs" / "prepare" / "files.json").read_text())


def usable_in(tmp_path):
    return {split: len(found["usable"]) for split, found in listing_in(tmp_path).items()}


def pairs_in(tmp_path, photo):
    write_pairs(tmp_path / "pairs", photo)
    folders = [f"data.photos.train_{kind}={tmp_path / 'pairs' / kind}" for kind in ("hr", "lr")]
    return ["data=pairs", *folders, "data.photos.holdout=1"]


def test_a_folder_is_checked_packed_and_listed(photo_folder, tmp_path, capsys, caplog):
    Image.new("L", (60, 50), 7).save(photo_folder / "gray.png")
    prepare_in(tmp_path, *of_folder(photo_folder), "verify=true")
    assert len(PackedStore(tmp_path / "store")) == 13
    assert usable_in(tmp_path) == {"train": 9, "val": 2, "test": 2}
    files = [file for found in listing_in(tmp_path).values() for file in found["usable"]]
    (gray,) = [file for file in files if file["file"].endswith("gray.png")]
    assert "gray" in gray["notes"]
    assert gray["size"] == [60, 50]
    assert "no colour to learn from" in capsys.readouterr().out


def test_bad_files_are_listed_and_end_with_a_failure_after_the_rest_is_done(photo_folder, tmp_path):
    (photo_folder / "bad.png").write_text("no image")
    with pytest.raises(SystemExit, match="1 files cannot be used"):
        prepare_in(tmp_path, *of_folder(photo_folder))
    assert len(PackedStore(tmp_path / "store")) == 12
    (bad,) = [file for found in listing_in(tmp_path).values() for file in found["left_out"]]
    assert bad["file"].endswith("bad.png")
    assert "not an image" in bad["reason"]


def test_pairs_are_prepared_too(tmp_path, photo):
    prepare_in(tmp_path, *pairs_in(tmp_path, photo))
    assert len(PackedStore(tmp_path / "store")) == 12
    assert listing_in(tmp_path)["test"]["usable"][0]["lr"]["size"] == [60, 48]


def test_shards_are_written_a_folder_a_split_and_left_alone_when_they_are_there(
    photo_folder, tmp_path
):
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


def test_shards_of_real_pairs_are_refused_before_any_work(tmp_path, photo):
    pytest.importorskip("litdata")
    options = [*pairs_in(tmp_path, photo), f"shards={tmp_path / 'shards'}"]
    with pytest.raises(ConfigError, match="real pairs for train, and shards hold single photos"):
        prepare_in(tmp_path, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]


def test_names_that_are_no_utf_8_are_listed(photo_folder, tmp_path):
    (photo_folder / "00.png").rename(photo_folder / "caf\udce9\n.png")
    (photo_folder / "01.png").rename(photo_folder / "cut\udce9.png")
    (photo_folder / "cut\udce9.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        prepare_in(tmp_path, *of_folder(photo_folder))
    listing = listing_in(tmp_path)
    usable = [file["file"] for found in listing.values() for file in found["usable"]]
    assert str(photo_folder / "caf\udce9\n.png") in usable
    (bad,) = [file for found in listing.values() for file in found["left_out"]]
    assert bad["shown"].endswith("cut\\xe9.png")


def test_damage_in_the_store_is_found_and_named(photo_folder, tmp_path):
    prepare_in(tmp_path, *of_folder(photo_folder))
    shard = next((tmp_path / "store").glob("[!.]*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 255
    shard.write_bytes(data)
    with pytest.raises(SystemExit, match=shard.name):
        prepare_in(tmp_path, *of_folder(photo_folder), "verify=true")
    shard.unlink()
    prepare_in(tmp_path, *of_folder(photo_folder), "verify=true")


def test_what_was_packed_before_is_verified_without_packing(photo_folder, tmp_path, caplog):
    options = [*of_folder(photo_folder), "verify=true"]
    prepare_in(tmp_path, *options, "pack=false")
    assert "are as they were written" not in caplog.text
    assert f"paths.store={tmp_path / 'store'} holds no packed photos" in caplog.text
    prepare_in(tmp_path, *options)
    with caplog.at_level("INFO"):
        prepare_in(tmp_path, *options, "pack=false")
    assert "12 packed photos are as they were written" in caplog.text
    shard = next((tmp_path / "store").glob("[!.]*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(SystemExit, match=shard.name):
        prepare_in(tmp_path, *options, "pack=false")


def test_packing_that_packs_nothing_says_so(photo_folder, tmp_path, caplog):
    pytest.importorskip("litdata")
    shards = tmp_path / "shards"
    prepare_in(tmp_path, *of_folder(photo_folder), "pack=false", f"shards={shards}")
    assert "not packed" not in caplog.text
    sets = [f"data.photos.{split}={shards / split}" for split in ("train", "val", "test")]
    prepare_in(tmp_path, "data=litdata", *sets)
    assert "pack=true: 12 of 12 photos are not packed" in caplog.text


def test_shards_of_weighted_sources_are_refused_before_any_work(photo_folder, tmp_path):
    """Training from them would ignore the weights."""
    pytest.importorskip("litdata")
    other = tmp_path / "other"
    other.mkdir()
    for i in range(3):
        Image.new("RGB", (60, 50), (i, 0, 0)).save(other / f"{i}.png")
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


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=folder", "data.photos.train_folder=nowhere"], "no photos for any of splits"),
        (["splits=[training]"], r"splits=\['training'\]: \['training'\]: expected some of"),
    ],
)
def test_mistakes_are_named(tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        prepare_in(tmp_path, *overrides)


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
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, *arguments(tmp_path, *of_folder(photo_folder))],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not list(store.glob("[!.]*.safetensors")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert 0 < len(PackedStore(store)) < 36, output
    prepare_in(tmp_path, *of_folder(photo_folder))
    assert len(PackedStore(store)) == 36


def test_a_public_set_is_downloaded_despite_cuts_checked_and_packed(
    photo_folder, tmp_path, monkeypatch
):
    """The table names a server of this machine, which cuts the connection and lies once."""
    file = tmp_path / "set.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in photo_folder.iterdir():
            archive.write(path, f"inner/{path.name}")
    body = file.read_bytes()
    with serve(body) as (site, address):
        site.cuts.append(len(body) // 2)
        site.bodies.extend([b"x" * len(body)])
        digest, folders = hashlib.sha256(body).hexdigest(), (Folder("mine", ("inner",), 12),)
        archive = Archive(f"{address}/set.zip", sha256=digest, size=len(body), folders=folders)
        monkeypatch.setitem(ARCHIVES, "folder", (archive,))
        monkeypatch.setattr("srlit.prepare.choice", lambda *_: "folder")
        data = tmp_path / "data"
        prepare_in(tmp_path, *of_folder(data / "mine"), f"paths.data={data}")
        asked = len(site.requests)
        prepare_in(tmp_path, *of_folder(data / "mine"), f"paths.data={data}")
    assert asked >= 2
    assert len(site.requests) == asked
    assert len(PackedStore(tmp_path / "store")) == 12


def test_a_split_of_which_nothing_is_usable_stops_no_other(photo_folder, tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "bad.png").write_bytes(b"x")
    options = [*of_folder(photo_folder), f"data.photos.val_folder={tmp_path / 'val'}"]
    with pytest.raises(SystemExit, match="1 files cannot be used"):
        prepare_in(tmp_path, *options)
    assert usable_in(tmp_path) == {"train": 10, "val": 0, "test": 2}


def test_pairs_of_which_nothing_is_usable_stop_no_other(tmp_path, photo):
    write_pairs(tmp_path / "val", photo, count=1)
    (tmp_path / "val" / "lr" / "00.png").write_bytes(b"x")
    val = [f"data.photos.val_{kind}={tmp_path / 'val' / kind}" for kind in ("hr", "lr")]
    with pytest.raises(SystemExit, match="2 files cannot be used"):
        prepare_in(tmp_path, *pairs_in(tmp_path, photo), *val)
    assert len(listing_in(tmp_path)["test"]["usable"]) == 1


def test_a_folder_that_is_missing_is_a_failure_after_the_rest_is_done(photo_folder, tmp_path):
    options = [*of_folder(photo_folder), "data.photos.test_folder=nowhere"]
    with pytest.raises(SystemExit, match="for test: data.photos.test_folder=nowhere: no such"):
        prepare_in(tmp_path, *options)
    assert {*listing_in(tmp_path)} == {"train", "val"}
    assert len(PackedStore(tmp_path / "store")) == 12


def test_a_split_that_is_not_configured_is_no_failure(photo_folder, tmp_path):
    options = ["data=bsd100", f"data.photos.test_folder={photo_folder}", "download=false"]
    assert {*prepare_in(tmp_path, *options)} == {"test"}

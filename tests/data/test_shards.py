"""Photos from shards: the same pixels and batches as from files, wherever the shards lie."""

import json
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch.utils.data import DataLoader

from srlit.data.audit import BadDataError, Checks, audit
from srlit.data.decode import read_photo
from srlit.data.photo_file import PhotoError
from srlit.data.reader import PhotoReader
from srlit.data.shards import ShardError, StreamedPhotos, extra, write_shards
from srlit.data.shards.layout import read_index
from srlit.train import build_data
from tests.data.photos import audited, batches_in, batches_of
from tests.helpers import TINY, compose_config

pytest.importorskip("litdata")

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
CHECKS = Checks(scale=1, max_invalid_fraction=0, cache=None)


@pytest.fixture
def shards(photo_folder, tmp_path):
    """The twelve photos in several shards."""
    folder = tmp_path / "shards" / "train"
    write_shards(audited(photo_folder), folder, chunk_mb=0.08)
    assert len(list(folder.glob("chunk-*.bin"))) >= 4
    return folder


def reader_of(location, **options):
    """A reader of all photos of one set."""
    sets = StreamedPhotos(train=str(location), **options)
    return PhotoReader(sets.audited("train", 1, CHECKS).photos, read=sets.read)


def same(one, other):
    return torch.equal(one.pixels, other.pixels) and torch.equal(one.keys, other.keys)


def chunks_of(folder):
    return {path.name: path for path in sorted(folder.glob("chunk-*.bin"))}


def in_first(folder):
    """How many photos the first chunk holds."""
    return read_index((folder / "index.json").read_bytes(), "")[0].photos


# -- an S3 server -------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """The part of S3 that reading needs: GET and HEAD of objects, of ranges too."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked = []
        self.broken = 0  # how many of the next answers stop half-way

    @property
    def options(self):
        return {"endpoint_url": f"http://127.0.0.1:{self.server_port}", **KEYS}

    def whole(self):
        """How often each chunk was fetched whole."""
        return Counter(name for name, part in self.asked if ".bin" in name and part is None)

    def parts(self):
        """How often parts of chunks were fetched."""
        return Counter(name for name, part in self.asked if ".bin" in name and part is not None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(head=True)

    def do_GET(self):
        self._answer(head=False)

    def _answer(self, head):
        name = self.path.split("?")[0].removeprefix("/bucket/sets/")
        path = self.server.folder / name
        part = self.headers.get("Range")
        if not path.is_file():
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", head)
            return
        data = path.read_bytes()
        if not head:
            self.server.asked.append((name, part))
        if part is None:
            self._send(200, data, head)
            return
        first, last = (int(number) for number in part.removeprefix("bytes=").split("-"))
        if first >= len(data):
            self._send(416, b"<Error><Code>InvalidRange</Code></Error>", head)
            return
        about = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        self._send(206, data[first : last + 1], head, about)

    def _send(self, status, data, head, about=None):
        self.send_response(status)
        for key, value in {"Content-Length": len(data), "ETag": '"x"', **(about or {})}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if head:
            return
        if self.server.broken and ".bin" in self.path:
            self.server.broken -= 1
            data, self.close_connection = data[: len(data) // 2], True
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(shards):
    with Server(shards.parent) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def remote(server, place="s3://bucket/sets/train", **options):
    return reader_of(place, storage_options=server.options, **options)


# -- the same as files --------------------------------------------------------------------------


def test_shards_give_the_pixels_of_the_files_in_their_order(photo, tmp_path):
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    image = Image.fromarray(photo[0, :, :90, :70].permute(1, 2, 0).numpy())
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(folder / "z.jpg", exif=exif)
    image.convert("RGBA").save(folder / "b" / "y.webp")
    image.save(folder / "a ü.tif")
    Image.fromarray(np.full((40, 50), 257 * 100, np.uint16)).save(folder / "gray.png")
    deep = np.random.default_rng(0).integers(0, 65535, (30, 50, 3), np.uint16)
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")
    names = "z.jpg", "b/y.webp", "gray.png", "a ü.tif", "deep.tif"
    paths = [folder / name for name in names]
    photos = audit(paths, min_size=1, max_invalid_fraction=0).photos
    write_shards(photos, tmp_path / "shards", chunk_mb=0.01)
    reader = reader_of(tmp_path / "shards")
    assert [p.path.relative_to(tmp_path / "shards") for p in reader.photos] == [
        path.relative_to(folder) for path in paths
    ]
    assert [p[1:4] for p in reader.photos] == [p[1:4] for p in photos]
    for number in (3, 0, 2, 1, 0, 4):
        assert torch.equal(reader[number], read_photo(paths[number]))


def test_litdata_reads_the_files_as_they_were(shards, photo_folder):
    from litdata import StreamingDataset

    items = StreamingDataset(str(shards))
    assert len(items) == 12
    for number, path in enumerate(sorted(photo_folder.iterdir())):
        assert items[number]["image"] == path.read_bytes()
        assert items[number]["name"] == path.name
    stored = sum(path.stat().st_size for path in shards.iterdir())
    assert stored < 1.05 * sum(path.stat().st_size for path in photo_folder.iterdir())


@pytest.mark.parametrize(("workers", "method"), [(0, None), (2, "fork"), (2, "spawn")])
def test_batches_are_those_from_files_with_any_workers(shards, photo_folder, workers, method):
    reader = reader_of(shards)
    assert reader[0].shape == (3, 96, 120)  # what the parent opened is not what workers use
    loader = DataLoader(
        batches_of(reader),
        sampler=range(7),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context=method,
    )
    files = batches_in(photo_folder)
    loaded = list(loader)
    assert len(loaded) == 7
    assert all(same(batch, files[i]) for i, batch in enumerate(loaded))


def test_a_resumed_loader_goes_on_as_if_never_stopped(shards):
    def load(first):
        batches = batches_of(reader_of(shards))
        return list(DataLoader(batches, sampler=range(first, 9), batch_size=None))

    assert all(same(*both) for both in zip(load(5), load(0)[5:], strict=True))


def rank_batches(rank, location, options, cache):
    """What a process of two reads."""
    reader = reader_of(location, cache_dir=cache, storage_options=options)
    batches = batches_of(reader, batch_size=3, rank=rank, world_size=2)
    return [tuple(tensor.numpy() for tensor in batches[i][:2]) for i in range(6)]


def test_two_processes_read_what_one_reads_and_share_the_cache(
    shards, server, photo_folder, tmp_path
):
    cache = tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        halves = pool.map(
            rank_batches,
            (0, 1),
            ["s3://bucket/sets/train"] * 2,
            [server.options] * 2,
            [cache] * 2,
        )
        first, second = halves
    whole = batches_in(photo_folder, batch_size=6)
    for i in range(6):
        pixels, keys = (np.concatenate(both) for both in zip(first[i], second[i], strict=True))
        assert np.array_equal(pixels, whole[i].pixels)
        assert np.array_equal(keys, whole[i].keys)
    assert server.whole() == dict.fromkeys((f"train/{name}" for name in chunks_of(shards)), 1)
    assert not server.parts()


# -- remote storage -----------------------------------------------------------------------------


def test_workers_read_from_s3_and_fetch_each_chunk_once(shards, server, photo_folder, tmp_path):
    reader = remote(server, cache_dir=tmp_path / "cache")
    loader = DataLoader(batches_of(reader), sampler=range(8), batch_size=None, num_workers=2)
    files = batches_in(photo_folder)
    assert all(same(batch, files[i]) for i, batch in enumerate(loader))
    assert set(server.whole().values()) == {1}
    assert not server.parts()
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert kept == set(chunks_of(shards))
    server.asked.clear()
    again = batches_of(remote(server, cache_dir=tmp_path / "cache"))
    assert same(again[3], files[3])
    assert not server.whole()


def test_a_small_cache_keeps_some_chunks_and_fetches_single_photos_of_others(
    shards, server, tmp_path, caplog
):
    sizes = [path.stat().st_size for path in chunks_of(shards).values()]
    with caplog.at_level(logging.INFO):
        reader = remote(server, cache_dir=tmp_path, cache_gb=(sizes[0] + 10) / 2**30)
    assert f"room for 1 of {len(sizes)} shards" in caplog.text
    batches = batches_of(reader)
    for i in range(3):
        batches[i]
    assert server.whole() == {"train/chunk-0-0.bin": 1}
    server.asked.clear()
    for i in range(3, 9):
        batches[i]
    outside = sum(number >= in_first(shards) for number in range(12))
    # Photos of which no byte is kept; a photo twice in a row is read once.
    assert 2 * outside - 1 <= sum(server.parts().values()) <= 2 * outside
    assert not server.whole()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.bin")) < 2 * 12 * 40_000


def test_no_cache_writes_no_file(shards, server, photo_folder):
    reader = remote(server)
    assert same(batches_of(reader)[0], batches_in(photo_folder)[0])
    assert not server.whole()


def test_what_is_cut_in_the_cache_is_fetched_again(shards, server, photo_folder, tmp_path):
    batches_of(remote(server, cache_dir=tmp_path / "c"))[0]
    for path in (tmp_path / "c").rglob("*.bin"):
        path.write_bytes(path.read_bytes()[:100])
    reader = remote(server, cache_dir=tmp_path / "c")
    assert all(same(batches_of(reader)[i], batches_in(photo_folder)[i]) for i in range(3))


def test_what_is_removed_from_the_cache_under_a_run_is_fetched_again(
    shards, server, photo_folder, tmp_path
):
    reader = remote(server, cache_dir=tmp_path / "c")
    files = batches_in(photo_folder)
    for i in range(3):
        assert same(batches_of(reader)[i], files[i])
    for path in (tmp_path / "c").rglob("*.bin"):
        path.unlink()
    assert all(same(batches_of(reader)[i], files[i]) for i in range(3, 6))


@pytest.mark.parametrize("part", ["table", "photos"])
def test_what_is_damaged_in_the_cache_is_fetched_again(
    shards, server, photo_folder, tmp_path, part, caplog
):
    batches_of(remote(server, cache_dir=tmp_path / "c"))[0]
    copies = list((tmp_path / "c").rglob("*.bin"))
    for path in copies:
        data = path.read_bytes()
        start = 0 if part == "table" else 60
        path.write_bytes(data[:start] + bytes(len(data) - start))
    reader = remote(server, cache_dir=tmp_path / "c")
    server.asked.clear()
    assert all(same(batches_of(reader)[i], batches_in(photo_folder)[i]) for i in range(3))
    assert set(server.whole().values()) == {1}
    assert caplog.text.count("damaged; fetching it again") == len(copies)


def test_what_is_damaged_in_the_bucket_is_fetched_twice_and_named(shards, server, tmp_path):
    for path in shards.glob("chunk-*.bin"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ShardError, match="s3://bucket/sets/train/chunk.*damaged"):
        batches_of(remote(server, cache_dir=tmp_path / "c"))[0]
    assert list(server.whole().values()) == [2]


@pytest.mark.parametrize("kept", [True, False])
def test_a_connection_that_breaks_is_made_anew(shards, server, photo_folder, tmp_path, kept):
    reader = remote(server, cache_dir=tmp_path / "c" if kept else None)
    server.broken = 2
    assert same(batches_of(reader)[0], batches_in(photo_folder)[0])
    assert server.broken == 0


def test_remote_shards_that_are_cut_or_missing_are_named(shards, server, tmp_path):
    chunks = list(chunks_of(shards).values())
    chunks[0].write_bytes(chunks[0].read_bytes()[:-1000])
    chunks[1].unlink()
    for options in ({}, {"cache_dir": tmp_path / "c"}):
        reader = remote(server, **options)
        last = in_first(shards) - 1
        with pytest.raises(ShardError, match="s3://bucket/sets/train/chunk-0-0.bin: "):
            reader[last]
        with pytest.raises(ShardError, match=r"chunk-0-1.bin: cannot be fetched"):
            reader[last + 1]
    with pytest.raises(ShardError, match="s3://bucket/elsewhere/index.json: cannot be fetched"):
        remote(server, "s3://bucket/elsewhere")


def test_other_shards_at_the_same_place_get_a_cache_of_their_own(
    shards, server, photo_folder, tmp_path
):
    remote(server, cache_dir=tmp_path / "c")[0]
    for path in shards.iterdir():
        path.unlink()
    shards.rmdir()
    photos = audited(photo_folder)[::-1]
    write_shards(photos, shards, chunk_mb=0.08)
    assert torch.equal(remote(server, cache_dir=tmp_path / "c")[0], read_photo(photos[0].path))


# -- writing ------------------------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
from srlit.data.audit import audit
from srlit.data.shards import writing

read = writing._read_file
seen = []

def dying(photo, name):
    seen.append(name)
    if len(seen) == 9:
        os.kill(os.getpid(), 9)
    return read(photo, name)

writing._read_file = dying
photos = audit(sorted(Path(sys.argv[1]).iterdir()), min_size=1, max_invalid_fraction=0).photos
writing.write_shards(photos, sys.argv[2], chunk_mb=0.08)
"""


def test_a_killed_run_leaves_no_shards_and_the_next_one_writes_them(photo_folder, tmp_path):
    target = tmp_path / "new" / "train"
    command = [sys.executable, "-c", KILLED, str(photo_folder), str(target)]
    assert subprocess.run(command, check=False).returncode == -9
    assert not target.exists()
    assert list((target.parent / ".train.partial").iterdir())
    write_shards(audited(photo_folder), target, chunk_mb=0.08)
    assert {path.name for path in target.parent.iterdir()} == {"train", ".train.lock"}
    assert len(reader_of(target).photos) == 12


def test_a_file_that_vanishes_or_changes_while_writing_leaves_nothing(photo_folder, tmp_path):
    photos = audited(photo_folder)
    changed = photos[7].path
    Image.open(photos[6].path).save(changed)
    with pytest.raises(PhotoError, match="07.png: holds another picture"):
        write_shards(photos, tmp_path / "s")
    changed.unlink()
    with pytest.raises(PhotoError, match="07.png: .*No such file"):
        write_shards(photos, tmp_path / "s")
    assert not (tmp_path / "s").exists()
    assert not (tmp_path / ".s.partial").exists()


def test_a_file_that_was_only_touched_is_written(photo_folder, tmp_path):
    photos = audited(photo_folder)
    os.utime(photos[3].path, (1, 1))
    write_shards(photos, tmp_path / "s")
    assert reader_of(tmp_path / "s").photos[3].digest == photos[3].digest


def test_full_folders_are_refused_and_finished_ones_left_alone(shards, photo_folder, tmp_path):
    photos = audited(photo_folder)
    before = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    write_shards(photos, shards)
    assert {path: path.stat().st_mtime_ns for path in shards.iterdir()} == before
    for folder in (shards, photo_folder):
        with pytest.raises(FileExistsError, match="holds other files"):
            write_shards(photos[1:], folder)
    (shards / "chunk-0-1.bin").unlink()
    with pytest.raises(FileExistsError, match="holds other files"):
        write_shards(photos, shards)
    (tmp_path / "empty").mkdir()
    write_shards(photos, tmp_path / "empty")
    assert len(reader_of(tmp_path / "empty").photos) == 12


def test_impossible_requests_are_named(photo_folder, tmp_path):
    photos = audited(photo_folder)
    with pytest.raises(ValueError, match="no photos"):
        write_shards([], tmp_path / "s")
    with pytest.raises(ValueError, match="chunk_mb=9000"):
        write_shards(photos, tmp_path / "s", chunk_mb=9000)
    with pytest.raises(ValueError, match="real pairs"):
        write_shards([photos[0]._replace(lr=photos[1])], tmp_path / "s")


def test_names_are_names_whatever_lies_in_the_working_directory(
    photo_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(photo_folder)
    (photo_folder / "00.png").rename(photo_folder / "00\udce9.png")
    write_shards(audited(photo_folder), tmp_path / "s")
    reader = reader_of(tmp_path / "s")
    assert [photo.path.name for photo in reader.photos[:2]] == ["00\\xe9.png", "01.png"]
    assert torch.equal(reader[0], read_photo(photo_folder / "00\udce9.png"))


# -- damage -------------------------------------------------------------------------------------


def test_a_cut_shard_is_an_error_and_no_garbage(shards):
    path = chunks_of(shards)["chunk-0-1.bin"]
    path.write_bytes(path.read_bytes()[:-500])
    reader = reader_of(shards)
    with pytest.raises(ShardError, match=r"chunk-0-1.bin: \d+ bytes, expected \d+: the shard is"):
        reader[in_first(shards)]
    assert reader[0].shape == (3, 96, 120)


def test_a_changed_byte_is_an_error_or_changes_no_pixel(shards):
    path = chunks_of(shards)["chunk-0-0.bin"]
    good = path.read_bytes()
    reader = reader_of(shards)
    numbers = range(in_first(shards))
    pixels = [reader[number] for number in numbers]
    errors = 0
    for position in [*range(0, 200, 3), len(good) // 2, len(good) - 1]:
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        reader = reader_of(shards)
        try:
            assert all(torch.equal(reader[number], pixels[number]) for number in numbers)
        except ShardError as error:
            assert "chunk-0-0.bin" in str(error)
            errors += 1
    assert errors >= 66


def test_lists_that_do_not_belong_together_are_refused(shards, photo_folder, tmp_path):
    write_shards(audited(photo_folder)[1:], tmp_path / "other", chunk_mb=0.08)
    listing = shards / "photos.json"
    good = listing.read_text()
    listing.write_bytes((tmp_path / "other" / "photos.json").read_bytes())
    with pytest.raises(ShardError, match="different shards"):
        reader_of(shards)
    stored = json.loads(good)
    stored["photos"][2], stored["photos"][3] = stored["photos"][3], stored["photos"][2]
    listing.write_text(json.dumps(stored))
    with pytest.raises(ShardError, match=r"chunk-0-\d.bin: 03.png: holds .*02.png"):
        reader_of(shards)[2]
    listing.write_text(good[:50])
    with pytest.raises(ShardError, match="no list of photos"):
        reader_of(shards)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index["config"].update(data_format=["pickle"]),
        lambda index: index["chunks"][0].update(filename="../../x.bin"),
        lambda index: index["config"].update(compression="zstd"),
        lambda index: index.pop("chunks"),
    ],
)
def test_an_index_of_something_else_is_refused(shards, change):
    index = json.loads((shards / "index.json").read_text())
    change(index)
    (shards / "index.json").write_text(json.dumps(index))
    with pytest.raises(ShardError, match="index.json: no"):
        reader_of(shards)


# -- sets ---------------------------------------------------------------------------------------


def test_sets_that_are_missing_are_named(shards, tmp_path):
    sets = StreamedPhotos(val=str(tmp_path / "none"))
    with pytest.raises(ShardError, match=r"data.photos.val: .*none/index.json: No such file"):
        sets.split("val")
    with pytest.raises(ValueError, match="data.photos.train is not set: expected a folder or s3:"):
        sets.split("train")
    with pytest.raises(FileNotFoundError, match="data.photos.test is not set: expected a folder"):
        sets.audited("test", 1, CHECKS)
    with pytest.raises(ShardError, match="expected a folder or s3://"):
        StreamedPhotos(test="ftp://host/x").split("test")


def test_paths_tell_sets_apart(shards, tmp_path, photo_folder):
    write_shards(audited(photo_folder), tmp_path / "val")
    sets = StreamedPhotos(train=str(shards), val=str(tmp_path / "val"))
    assert sets.split("train") == [shards / f"{i:02}.png" for i in range(12)]
    assert not set(sets.split("train")) & set(sets.split("val"))


def test_photos_below_the_least_size_are_left_out_as_files_are(photo_folder, tmp_path):
    Image.open(photo_folder / "03.png").crop((0, 0, 60, 50)).save(photo_folder / "05.png")
    write_shards(audited(photo_folder), tmp_path / "s")
    sets = StreamedPhotos(train=str(tmp_path / "s"))
    found = sets.audited("train", 51, CHECKS._replace(max_invalid_fraction=0.1))
    files = audit(sorted(photo_folder.iterdir()), min_size=51, max_invalid_fraction=0.1)
    assert [photo[1:4] for photo in found.photos] == [photo[1:4] for photo in files.photos]
    assert found.rejected == [(tmp_path / "s" / "05.png", files.rejected[0][1])]
    assert all(photo.stamp is None for photo in found.photos)
    with pytest.raises(BadDataError, match="60x50 pixels, smaller than 51"):
        sets.audited("train", 51, CHECKS)


def test_only_photos_of_the_sets_are_read(shards, photo_folder):
    sets = StreamedPhotos(train=str(shards))
    (first, *_) = sets.audited("train", 1, CHECKS).photos
    assert torch.equal(sets.read(first), read_photo(photo_folder / "00.png"))
    with pytest.raises(ShardError, match="is in none of the sets"):
        sets.read(audited(photo_folder)[0])


def test_connections_are_neither_pickled_nor_shared_with_a_fork(server, tmp_path):
    reader = remote(server)
    pixels = reader[0]
    assert torch.equal(pickle.loads(pickle.dumps(reader))[0], pixels)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert torch.equal(pool.submit(reader.__getitem__, 0).result(), pixels)


def test_without_litdata_the_error_says_what_to_install(shards, photo_folder, monkeypatch):
    photos = audited(photo_folder)

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(extra.importlib, "import_module", missing)
    assert reader_of(shards)[0].shape == (3, 96, 120)  # a folder needs nothing
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'srlit\[stream\]'"):
        StreamedPhotos(val="s3://bucket/val")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'srlit\[stream\]'"):
        write_shards(photos, shards)


def test_litdata_is_imported_only_when_it_is_needed():
    code = "import sys, srlit.data; sys.exit(bool({'litdata', 'boto3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- training -----------------------------------------------------------------------------------


def test_training_and_validation_see_what_they_see_in_folders(photo_folder, tmp_path):
    """Whole data modules, built as a command builds them."""
    cache = f"paths.cache={tmp_path / 'cache'}"
    folder = [f"data.photos.train_folder={photo_folder}", "data.photos.holdout=2"]
    files = module_of("data=folder", *folder, cache)
    for split in ("train", "val"):
        photos = files.sets.audited(split, 1, CHECKS).photos
        write_shards(photos, tmp_path / split, chunk_mb=0.08)
    places = [f"data.photos.{split}={tmp_path / split}" for split in ("train", "val")]
    streamed = module_of("data=litdata", *places, cache)
    for module in (files, streamed):
        module.check()
    loaders = [(m.train_dataloader(), m.val_dataloader()) for m in (files, streamed)]
    for one, other in zip(*loaders, strict=True):
        batches = list(zip(one, other, strict=True))
        assert batches
        assert all(same(*both) for both in batches)
    streamed.load_state_dict(files.state_dict())  # so either resumes the other


def test_missing_shards_of_the_test_stop_no_training(photo_folder, tmp_path, caplog):
    photos = audited(photo_folder)
    write_shards(photos[2:], tmp_path / "train")
    write_shards(photos[:2], tmp_path / "val")
    splits = ("train", "val", "test")
    module = module_of("data=litdata", *[f"data.photos.{s}={tmp_path / s}" for s in splits])
    with caplog.at_level("INFO"):
        module.check()
    assert f"data.photos.test: {tmp_path / 'test'}" in caplog.text


def module_of(*overrides):
    cfg = compose_config("train", *TINY, *overrides, "iterations=6", "data.batch_size=4")
    return build_data(cfg)

"""Photos from shards: the same pixels and batches as from files.

Remote storage is litdata's `local:`, a folder that it treats as remote.
"""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from srlit.data.audit import BadDataError, Checks
from srlit.data.decode import read_photo
from srlit.data.photo_file import PhotoError
from srlit.data.reader import PhotoReader
from srlit.data.shards import ShardError, Shards, StreamedPhotos, write_shards
from srlit.train import build_data
from tests.data.corpus import exif
from tests.data.photos import audit, audited, batches_in, batches_of, folder_options, same
from tests.helpers import TINY, compose_config

pytest.importorskip("litdata")

CHECKS = Checks(scale=1, max_invalid_fraction=0, cache=None)


@pytest.fixture
def shards(photo_folder, tmp_path):
    """The twelve photos in several shards."""
    folder = tmp_path / "shards"
    write_shards(audited(photo_folder), folder, chunk_mb=0.08)
    assert len(list(folder.glob("chunk-*.bin"))) >= 4
    return folder


def reader_of(location, **options):
    """A reader of all photos of one set."""
    sets = StreamedPhotos(train=str(location), **options)
    return PhotoReader(sets.audited("train", 1, CHECKS).photos, read=sets.read)


# -- the same as files --------------------------------------------------------------------------


def test_shards_give_the_pixels_of_the_files_in_their_order(photo_folder, tmp_path):
    (photo_folder / "b").mkdir()
    Image.open(photo_folder / "00.png").save(photo_folder / "z.jpg", exif=exif(6))
    (photo_folder / "01.png").rename(photo_folder / "a\udce9 ü.png")  # no UTF-8
    (photo_folder / "02.png").rename(photo_folder / "b" / "y.png")
    paths = [photo_folder / name for name in ("z.jpg", "b/y.png", "a\udce9 ü.png", "03.png")]
    photos = audit(paths).photos
    write_shards(photos, tmp_path / "shards", chunk_mb=0.01)
    reader = reader_of(tmp_path / "shards")
    assert [p[1:4] for p in reader.photos] == [p[1:4] for p in photos]
    for number in (3, 0, 2, 1, 0):
        relative = paths[number].relative_to(photo_folder)
        assert reader.photos[number].path == tmp_path / "shards" / relative
        assert torch.equal(reader[number], read_photo(paths[number]))


def test_litdata_reads_the_files_as_they_were(shards, photo_folder):
    from litdata import StreamingDataset

    files = [path.read_bytes() for path in sorted(photo_folder.iterdir())]
    assert [bytes(item) for item in StreamingDataset(str(shards))] == files


@pytest.mark.parametrize(("workers", "method"), [(0, None), (2, "fork"), (2, "spawn")])
@pytest.mark.parametrize("first", [0, 5], ids=["from the start", "resumed"])
def test_batches_are_those_from_files(shards, photo_folder, workers, method, first):
    reader = reader_of(shards)
    assert reader[0].shape == (3, 96, 120)  # what the parent opened is not what workers use
    options = {"num_workers": workers, "multiprocessing_context": method}
    numbers = range(first, 7)
    loader = DataLoader(batches_of(reader), sampler=numbers, batch_size=None, **options)
    files = batches_in(photo_folder)
    assert all(same(batch, files[i]) for i, batch in zip(numbers, loader, strict=True))


def rank_batches(rank, location, cache):
    reader = reader_of(location, cache_dir=cache)
    batches = batches_of(reader, batch_size=3, rank=rank, world_size=2)
    return [tuple(tensor.numpy() for tensor in batches[i][:2]) for i in range(6)]


def test_two_processes_read_what_one_reads_and_share_the_cache(shards, photo_folder, tmp_path):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        places = [f"local:{shards}"] * 2, [str(tmp_path / "cache")] * 2
        first, second = pool.map(rank_batches, (0, 1), *places)
    whole = batches_in(photo_folder, batch_size=6)
    for i, halves in enumerate(zip(first, second, strict=True)):
        for both, expected in zip(zip(*halves, strict=True), whole[i][:2], strict=True):
            assert np.array_equal(np.concatenate(both), expected)
    kept = [path.name for path in (tmp_path / "cache").rglob("*.bin")]
    assert sorted(kept) == sorted(path.name for path in shards.glob("*.bin"))


@pytest.mark.parametrize(("cache_gb", "whole"), [(1, True), (1e-5, False)])
def test_shards_are_cached_whole_where_all_fit(shards, photo_folder, tmp_path, cache_gb, whole):
    opened = Shards(f"local:{shards}", str(tmp_path / "cache"), cache_gb, None)
    for number in (7, 3, 11, 0, 3):
        path = opened.photos[number].path
        assert torch.equal(opened.read(path), read_photo(photo_folder / path.name))
        assert opened._dataset.on_demand_bytes is not whole


def test_other_shards_at_one_place_are_not_taken_from_the_cache(shards, photo_folder, tmp_path):
    options = {"cache_dir": str(tmp_path / "cache")}
    reader_of(f"local:{shards}", **options)[0]
    shutil.rmtree(shards)
    photos = audited(photo_folder)[::-1]
    write_shards(photos, shards, chunk_mb=0.08)
    assert torch.equal(reader_of(f"local:{shards}", **options)[0], read_photo(photos[0].path))


# -- writing ------------------------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
from srlit.data import shards
from srlit.data.audit import Checks

read = shards._read_file
shards._read_file = lambda p: os.kill(os.getpid(), 9) if p.path.stem == "08" else read(p)
photos = Checks(1, 0, None)(sorted(Path(sys.argv[1]).iterdir())).photos
shards.write_shards(photos, sys.argv[2], chunk_mb=0.08)
"""


def test_a_killed_process_leaves_no_shards_and_the_next_one_writes_them(photo_folder, tmp_path):
    target = tmp_path / "new" / "train"
    command = [sys.executable, "-c", KILLED, str(photo_folder), str(target)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not target.exists()
    assert list((target.parent / ".train.partial").iterdir())
    write_shards(audited(photo_folder), target, chunk_mb=0.08)
    assert {path.name for path in target.parent.iterdir()} == {"train", ".train.lock"}
    assert len(reader_of(target).photos) == 12


def test_a_file_that_changes_while_writing_leaves_nothing(photo_folder, tmp_path):
    photos = audited(photo_folder)
    Image.open(photos[6].path).save(photos[7].path)
    with pytest.raises(PhotoError, match=r"07\.png"):
        write_shards(photos, tmp_path / "s")
    assert [path.name for path in tmp_path.glob("*s")] == ["photos"]


def test_full_folders_are_refused_and_finished_ones_left_alone(shards, photo_folder, tmp_path):
    photos = audited(photo_folder)
    before = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    write_shards(photos, shards)
    assert {path: path.stat().st_mtime_ns for path in shards.iterdir()} == before
    for folder in (shards, photo_folder):
        with pytest.raises(FileExistsError, match=str(folder)):
            write_shards(photos[1:], folder)
    (tmp_path / "empty").mkdir()
    os.utime(photos[3].path, (1, 1))  # a file that was only touched is written
    write_shards(photos, tmp_path / "empty")
    assert reader_of(tmp_path / "empty").photos[3].digest == photos[3].digest


# -- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "local:"])
@pytest.mark.parametrize("damage", [lambda path: os.truncate(path, 9_000), os.unlink])
def test_a_shard_that_is_cut_or_missing(shards, tmp_path, prefix, damage):
    damage(shards / "chunk-0-0.bin")
    location = f"{prefix}{shards}"
    reader = reader_of(location, cache_dir=str(tmp_path / "cache"), cache_gb=1e-5)
    with pytest.raises(ShardError, match=f"{location}: .*0[0-2].png"):
        [reader[i] for i in range(3)]
    assert reader[11].shape == (3, 96, 120)


def test_a_changed_byte_is_an_error_or_changes_no_pixel(shards, photo_folder):
    path = shards / "chunk-0-0.bin"
    good = path.read_bytes()
    size = json.loads((shards / "index.json").read_text())["chunks"][0]["chunk_size"]
    errors = 0
    for position in [*range(0, 200, 9), len(good) // 2, len(good) - 1]:
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        reader = reader_of(shards)
        try:
            for number in range(size):
                expected = read_photo(photo_folder / reader.photos[number].path.name)
                assert torch.equal(reader[number], expected)
        except ShardError as error:
            assert str(shards) in str(error)
            errors += 1
    assert errors >= 20


FOREIGN = [
    lambda index: index["config"].update(data_format=["pickle"]),
    lambda index: index["chunks"][0].update(filename="../../x.bin"),
    lambda index: index["photos"].append(["name"]),
    lambda index: index.pop("chunks"),
    lambda index: index.pop("photos"),
]


@pytest.mark.parametrize("change", FOREIGN)
@pytest.mark.parametrize("prefix", ["", "local:"])
def test_an_index_of_something_else_is_refused(shards, tmp_path, change, prefix):
    index = json.loads((shards / "index.json").read_text())
    change(index)
    (shards / "index.json").write_text(json.dumps(index))
    with pytest.raises(ShardError, match=str(shards)):
        reader_of(f"{prefix}{shards}", cache_dir=str(tmp_path / "cache"))


def test_a_deeply_nested_index_is_refused(shards):
    (shards / "index.json").write_text("[" * 100_000)
    with pytest.raises(ShardError, match=str(shards / "index.json")):
        reader_of(str(shards))


# -- sets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["{}/none", "local:{}/none", "ftp://host/x"])
def test_missing_shards_are_named(tmp_path, place):
    location = place.format(tmp_path)
    sets = StreamedPhotos(val=location, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ShardError, match=rf"data\.photos\.val: .*{location.split(':/')[-1]}"):
        sets.split("val")


def test_sets_that_are_not_set_are_named():
    for split, error in {"train": ValueError, "test": FileNotFoundError}.items():
        with pytest.raises(error, match=rf"data\.photos\.{split}"):
            StreamedPhotos().split(split)


def test_photos_that_are_too_small_are_left_out_as_files_are(photo_folder, tmp_path):
    Image.open(photo_folder / "03.png").crop((0, 0, 60, 50)).save(photo_folder / "05.png")
    write_shards(audited(photo_folder), tmp_path / "s")
    sets = StreamedPhotos(train=str(tmp_path / "s"))
    found = sets.audited("train", 51, CHECKS._replace(max_invalid_fraction=0.1))
    files = audit(sorted(photo_folder.iterdir()), min_size=51, max_invalid_fraction=0.1)
    assert [photo[1:4] for photo in found.photos] == [photo[1:4] for photo in files.photos]
    assert found.rejected == [(tmp_path / "s" / "05.png", files.rejected[0][1])]
    with pytest.raises(BadDataError, match="60x50"):
        sets.audited("train", 51, CHECKS)


def test_without_litdata_the_error_says_what_to_install(shards, photo_folder, monkeypatch):
    for module in ("litdata", "litdata.streaming", "litdata.streaming.writer"):
        monkeypatch.setitem(sys.modules, module, None)
    photos = audited(photo_folder)
    for use in (lambda: reader_of(shards), lambda: write_shards(photos, shards.with_name("new"))):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'srlit\[stream\]'"):
            use()


def test_litdata_is_imported_only_when_it_is_needed():
    code = "import sys, srlit.data.shards; sys.exit(bool({'litdata', 'boto3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- training -----------------------------------------------------------------------------------


def module_of(*overrides):
    cfg = compose_config("train", *TINY, *overrides, "iterations=6", "data.batch_size=4")
    return build_data(cfg)


def test_training_and_validation_see_what_they_see_in_folders(photo_folder, tmp_path, caplog):
    """Whole data modules, built as a command builds them."""
    cache = f"paths.cache={tmp_path / 'cache'}"
    folder = folder_options(train_folder=photo_folder, holdout=2)
    files = module_of("data=folder", *folder, cache)
    for split in ("train", "val"):
        write_shards(files.photos.audited(split, 1, CHECKS).photos, tmp_path / split, chunk_mb=0.08)
    places = folder_options(**{split: tmp_path / split for split in ("train", "val", "test")})
    streamed = module_of("data=litdata", *places, cache)
    batches = []
    for module in (files, streamed):
        module.check()
        batches.append([*module.train_dataloader(), *module.val_dataloader()])
    assert f"data.photos.test: {tmp_path / 'test'}" in caplog.text  # missing, and not needed
    assert len(batches[0]) > 6
    assert all(same(*both) for both in zip(*batches, strict=True))
    streamed.load_state_dict(files.state_dict())  # so either resumes the other

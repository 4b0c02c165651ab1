"""What several tests of the data path build on."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from srlit.data.audit import Checks
from srlit.data.datasets import PatchBatches
from srlit.data.paired_folder import PairFolders
from srlit.data.reader import PhotoReader
from srlit.data.sampler import PhotoOrder
from srlit.train import build_data
from tests.helpers import compose_config

SETTINGS = {"seed": 1, "patch_size": 32, "batch_size": 4}


def audit(paths, *, min_size=1, max_invalid_fraction=0.0, cache=None, store=None, scale=2):
    return Checks(scale, max_invalid_fraction, cache, store)(paths, min_size)


def audited(folder, **options):
    return audit(sorted(Path(folder).glob("*.*")), **options).photos


def batches_of(reader, crops=1, **changes):
    """Batches of all the reader's photos, one group of them."""
    settings = SETTINGS | changes
    order = PhotoOrder([len(reader.photos)], weights=None, seed=settings["seed"], crops=crops)
    return PatchBatches(reader, order, **settings)


def batches_in(folder, cache_mb=1, crops=1, **changes):
    return batches_of(PhotoReader(audited(folder), cache_mb=cache_mb), crops, **changes)


def same(one, other):
    """Whether two batches are the same."""
    return torch.equal(one.pixels, other.pixels) and torch.equal(one.keys, other.keys)


def shards_of(store):
    return list(store.glob("[!.]*.safetensors"))


def images_in(store):
    """How many images its shards hold; one in two shards counts twice."""
    return sum(len(load_file(shard)) for shard in shards_of(store))


def folder_options(**folders):
    """Overrides for the photos' folders, by the ends of their keys."""
    return [f"data.photos.{key}={folder}" for key, folder in folders.items()]


def pair_options(root, split="train"):
    """Overrides for what `write_pairs` wrote."""
    return folder_options(**{f"{split}_{half}": root / half for half in ("hr", "lr")})


def pair_folders(root, **options):
    """All pairs that `write_pairs` wrote, to train on."""
    folders = {f"train_{half}": str(root / half) for half in ("hr", "lr")}
    return PairFolders(**folders, **{"holdout": 0} | options)


def write_flat(folder, count, size=(40, 40)):
    """Photos of one colour each, which tells where a patch came from: red = 5 * number."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", size, (5 * i, 0, 0)).save(folder / f"{i:02}.png")


def write_pairs(root, photo, count=6, scale=2, suffix=""):
    """HR photos and their LR partners, every LR pixel the corner of its HR pixels."""
    for kind in ("hr", "lr"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        hr = np.ascontiguousarray(photo[0, :, 5 * i : 5 * i + 96, 9 * i : 9 * i + 120])
        hr = hr.transpose(1, 2, 0)
        Image.fromarray(hr).save(root / "hr" / f"{i:02}.png")
        Image.fromarray(hr[::scale, ::scale]).save(root / "lr" / f"{i:02}{suffix}.png")


def small_module(data, *overrides):
    """The datamodule of a composed configuration with small patches and without caches."""
    small = ["patch_size=32", "batch_size=3", "workers=0", "eval_crop=32"]
    small += ["augmentation.geometry=false"]
    options = [f"data={data}", *[f"data.{option}" for option in small], "iterations=7"]
    options += ["paths.cache=null", "paths.store=null"]
    return build_data(compose_config("train", *options, *overrides))

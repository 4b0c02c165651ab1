import pytest
import torch

from srlit.data.audit import Checks
from srlit.data.decode import read_photo
from srlit.data.image_folder import FolderPhotos
from srlit.data.mixed import MixedPhotos
from srlit.data.paired_folder import PairFolders
from srlit.data.photo_sets import regroup
from srlit.data.shards import StreamedPhotos, write_shards
from srlit.data.transforms import training_pair
from tests.data.photos import (
    audited,
    folder_options,
    pair_folders,
    small_module,
    write_flat,
    write_pairs,
)

CHECKS = Checks(2, 0.0, None)


@pytest.fixture
def data(tmp_path, photo):
    write_pairs(tmp_path / "real", photo, count=6)
    write_flat(tmp_path / "synthetic", 12, size=(64, 64))
    real = {f"sources.real.train_{half}": tmp_path / "real" / half for half in ("hr", "lr")}
    synthetic = {"sources.synthetic.train_folder": tmp_path / "synthetic"}
    options = [*folder_options(**real, **synthetic), "data.photos.sources.real.holdout=1"]
    options += ["data.photos.weights={real: 3, synthetic: 1}", "data.batch_size=8"]
    data = small_module("mixed", *options, "iterations=8")
    data.check()
    return data


def test_real_and_synthetic_pairs_are_mixed_by_ratio(data):
    real = torch.cat([batch.real for batch in data.train_dataloader()])
    assert real.sum() == 48  # four epochs of 16, three quarters each
    assert len(real) == 64


def test_only_photos_without_partner_are_degraded(data):
    for photos in data.train_dataloader():
        batch = training_pair(photos, data.augmentation, data.degradation)
        real, corners = photos.real, batch.hr[..., ::2, ::2]
        assert torch.equal(batch.lr[real], corners[real])
        alone = photos._replace(lr=None, real=None)
        made = training_pair(alone, data.augmentation, data.degradation)
        torch.testing.assert_close(batch.lr[~real], made.lr[~real])
        assert not torch.equal(batch.lr[~real], corners[~real])


def test_validation_takes_the_named_sources(data):
    assert [p.path.parent.parent.name for p in data._val_photos] == ["real"]


@pytest.fixture
def sources(tmp_path):
    """Folders of 4 and of 8 photos, of which only the first one holds back some."""
    found = {}
    for name, count, holdout in (("a", 4, 1), ("b", 8, 0)):
        write_flat(tmp_path / "all" / name, count)
        found[name] = FolderPhotos(train_folder=f"{tmp_path}/all/{name}", holdout=holdout)
    return found


@pytest.mark.parametrize(
    ("key", "names"), [("weights", {"c": 1}), ("weights", {"a": 1}), ("val", "c")]
)
def test_names_are_checked(sources, key, names):
    message = rf"data\.photos\.{key} names \['[ac]'\]: expected \['a', 'b'\]"
    with pytest.raises(ValueError, match=message):
        MixedPhotos(sources=sources, **{key: names})
    with pytest.raises(ValueError, match=r"data\.photos\.sources\.c is a mix"):
        MixedPhotos(sources={"c": MixedPhotos(sources=sources)})


def test_sources_without_holdout_are_left_out_of_validation_and_test(sources):
    mix = MixedPhotos(sources=sources)
    assert [path.parent.name for path in (*mix.split("val"), *mix.split("test"))] == ["a", "a"]
    assert len(mix.audited("val", 1, CHECKS).photos) == 1
    assert len(mix.split("train")) == 10
    with pytest.raises(FileNotFoundError, match="sources.b.holdout=0 leaves no photos for val"):
        MixedPhotos(sources=sources, val=["b"]).split("val")
    alone = MixedPhotos(sources={"b": sources["b"]})
    assert not alone.has("val")
    with pytest.raises(FileNotFoundError, match="none of data.photos.sources has photos for val"):
        alone.split("val")


def test_without_weights_photos_come_as_from_one_folder(sources, tmp_path):
    """So shards of a mix go on with the checkpoints of a folder."""
    sources["a"].holdout = 0
    (tmp_path / "all" / "a" / "zz_bad.png").write_bytes(b"x")
    mix = MixedPhotos(sources=sources)
    assert [group.weight for group in mix.groups()] == [5, 8]
    checks = CHECKS._replace(max_invalid_fraction=0.5)
    photos, counts, weights = regroup(mix.audited("train", 1, checks).photos, mix.groups())
    one = FolderPhotos(train_folder=f"{tmp_path}/all", holdout=0).audited("train", 1, checks)
    assert [photo.path for photo in photos] == [photo.path for photo in one.photos]
    assert (counts, weights) == ([4, 8], None)


def test_shards_may_be_one_of_the_sources(sources, tmp_path, photo_folder):
    write_shards(audited(photo_folder), tmp_path / "shards")
    streamed = StreamedPhotos(train=str(tmp_path / "shards"))
    mix = MixedPhotos(sources={"b": sources["b"], "shards": streamed}, val=["b"], test=["b"])
    found = mix.audited("train", 1, CHECKS).photos
    assert len(found) == 20
    for photo, folder in ((found[0], tmp_path / "all" / "b"), (found[-1], photo_folder)):
        assert torch.equal(mix.read(photo), read_photo(folder / photo.path.name))


@pytest.mark.parametrize("order", [("real", "plain"), ("plain", "real")])
def test_sources_may_share_their_photos(tmp_path, photo, order):
    """The same HR files with their partners, and to be degraded."""
    write_pairs(tmp_path, photo, count=4)
    plain = FolderPhotos(train_folder=f"{tmp_path}/hr", holdout=1)
    sources = {"real": pair_folders(tmp_path, holdout=1), "plain": plain}
    mix = MixedPhotos(sources={name: sources[name] for name in order})
    found = mix.audited("train", 1, CHECKS).photos
    photos, counts, _ = regroup(found, mix.groups())
    first = order.index("real") * counts[0]
    assert counts == [2, 2]
    assert [p.lr is not None for p in photos] == [first <= i < first + 2 for i in range(4)]
    assert all(torch.equal(mix.read(p), read_photo(p.path)) for p in photos)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (PairFolders(), "train_hr is not set"),
        (PairFolders(train_lr="a"), "train_hr is not set"),
        (FolderPhotos(), "train_folder is not set"),
        (FolderPhotos(train_folder="nowhere"), "train_folder=nowhere: no such folder"),
        (PairFolders(train_hr="nowhere", train_lr="a"), "train_hr=nowhere: no such folder"),
        (StreamedPhotos(), "train is not set"),
        (StreamedPhotos(train="nowhere"), "train: "),
        (FolderPhotos(train_folder="few", holdout=5), "holdout=5: cannot hold back"),
    ],
)
def test_errors_name_the_key_of_the_source(tmp_path, monkeypatch, source, message):
    write_flat(tmp_path / "few", 2)
    monkeypatch.chdir(tmp_path)
    pattern = rf"^data\.photos\.sources\.mine\.{message}"
    with pytest.raises((ValueError, FileNotFoundError), match=pattern):
        MixedPhotos(sources={"mine": source}).split("train")

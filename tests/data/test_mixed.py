import pytest
import torch
from PIL import Image

from srlit.data.audit import Checks
from srlit.data.decode import read_photo
from srlit.data.image_folder import FolderPhotos
from srlit.data.mixed import MixedPhotos
from srlit.data.paired_folder import PairFolders
from srlit.data.photo_sets import regroup
from srlit.data.shards import StreamedPhotos, write_shards
from srlit.data.transforms import training_pair
from tests.data.photos import audited, small_module, write_flat, write_pairs


def data_of(tmp_path, photo, *overrides):
    write_pairs(tmp_path / "real", photo, count=6)
    write_flat(tmp_path / "synthetic", 12, size=(64, 64))
    real = "data.photos.sources.real"
    data = small_module(
        "mixed",
        *[f"{real}.train_{kind}={tmp_path / 'real' / kind}" for kind in ("hr", "lr")],
        f"{real}.holdout=1",
        f"data.photos.sources.synthetic.train_folder={tmp_path / 'synthetic'}",
        "data.photos.weights={real: 3, synthetic: 1}",
        "data.batch_size=8",
        "iterations=8",
        *overrides,
    )
    data.check()
    return data


def test_real_and_synthetic_pairs_are_mixed_by_ratio(tmp_path, photo):
    data = data_of(tmp_path, photo)
    real = torch.cat([batch.real for batch in data.train_dataloader()])
    assert real.sum() == 48  # four epochs of 16, three quarters each
    assert len(real) == 64


def test_only_photos_without_partner_are_degraded(tmp_path, photo):
    data = data_of(tmp_path, photo)
    for photos in data.train_dataloader():
        batch = training_pair(photos, data.augmentation, data.degradation)
        real = photos.real
        assert torch.equal(batch.lr[real], batch.hr[real][..., ::2, ::2])
        alone = training_pair(
            photos._replace(lr=None, real=None), data.augmentation, data.degradation
        )
        torch.testing.assert_close(batch.lr[~real], alone.lr[~real])
        assert not torch.equal(batch.lr[~real], batch.hr[~real][..., ::2, ::2])


def test_validation_takes_the_named_sources(tmp_path, photo):
    data = data_of(tmp_path, photo)
    assert [p.path.parent.parent.name for p in data._val_photos] == ["real"]


def test_weights_are_checked(tmp_path):
    write_flat(tmp_path / "a", 4)
    sources = {"a": FolderPhotos(train_folder=str(tmp_path / "a"), holdout=1)}
    with pytest.raises(ValueError, match="data.photos.weights names .'b'.: expected .'a'."):
        MixedPhotos(sources=sources, weights={"b": 1})
    with pytest.raises(ValueError, match="data.photos.val names"):
        MixedPhotos(sources=sources, val=["c"])
    with pytest.raises(ValueError, match="data.photos.weights names .'a'.: expected .'a', 'b'."):
        MixedPhotos(sources={**sources, "b": sources["a"]}, weights={"a": 1})


def test_without_weights_every_photo_counts_the_same(tmp_path):
    write_flat(tmp_path / "a", 4)
    write_flat(tmp_path / "b", 8)
    sources = {
        name: FolderPhotos(train_folder=str(tmp_path / name), holdout=1) for name in ("a", "b")
    }
    mixed = MixedPhotos(sources=sources)
    assert [group.weight for group in mixed.groups()] == [2, 6]
    assert len(mixed.split("train")) == 8
    assert len(mixed.split("val")) == len(mixed.split("test")) == 2


def test_shards_may_be_one_of_the_sources(tmp_path, photo_folder):
    write_flat(tmp_path / "more", 5)
    write_shards(audited(photo_folder), tmp_path / "shards")
    sources = {
        "shards": StreamedPhotos(train=str(tmp_path / "shards")),
        "folder": FolderPhotos(train_folder=str(tmp_path / "more"), holdout=1),
    }
    mixed = MixedPhotos(sources=sources, val=["folder"], test=["folder"])
    found = mixed.audited("train", 1, Checks(scale=2, max_invalid_fraction=0, cache=None))
    assert len(found.photos) == 15
    for photo, name in [
        (found.photos[0], "00.png"),
        (found.photos[-1], found.photos[-1].path.name),
    ]:
        folder = photo_folder if photo is found.photos[0] else tmp_path / "more"
        assert torch.equal(mixed.read(photo), read_photo(folder / name))


@pytest.mark.parametrize("order", [("real", "plain"), ("plain", "real")])
def test_sources_may_share_their_photos(tmp_path, photo, order):
    """The same HR files with their partners, and to be degraded."""
    write_pairs(tmp_path, photo, count=4)
    sources = {
        "real": PairFolders(train_hr=f"{tmp_path}/hr", train_lr=f"{tmp_path}/lr", holdout=1),
        "plain": FolderPhotos(train_folder=f"{tmp_path}/hr", holdout=1),
    }
    mix = MixedPhotos(sources={name: sources[name] for name in order})
    found = mix.audited("train", 1, Checks(2, 0.0, None)).photos
    photos, counts, _ = regroup(found, mix.groups())
    first = order.index("real") * counts[0]
    assert counts == [2, 2]
    assert [p.lr is not None for p in photos] == [first <= i < first + 2 for i in range(4)]
    assert all(torch.equal(mix.read(p), read_photo(p.path)) for p in photos)


def test_a_mix_of_mixes_is_refused(tmp_path):
    inner = MixedPhotos(sources={"a": FolderPhotos(train_folder=str(tmp_path))})
    with pytest.raises(ValueError, match="data.photos.sources.b is a mix"):
        MixedPhotos(sources={"b": inner})


def test_sources_without_holdout_are_left_out_of_validation_and_test(tmp_path):
    write_flat(tmp_path / "a", 4)
    write_flat(tmp_path / "b", 8)
    sources = {
        "a": FolderPhotos(train_folder=f"{tmp_path}/a", holdout=1),
        "b": FolderPhotos(train_folder=f"{tmp_path}/b", holdout=0),
    }
    mix = MixedPhotos(sources=sources)
    assert [path.parent.name for path in (*mix.split("val"), *mix.split("test"))] == ["a", "a"]
    assert len(mix.audited("val", 1, Checks(2, 0.0, None)).photos) == 1
    assert len(mix.split("train")) == 10
    with pytest.raises(FileNotFoundError, match="sources.b.holdout=0 leaves no photos for val"):
        MixedPhotos(sources=sources, val=["b"]).split("val")
    alone = MixedPhotos(sources={"b": sources["b"]})
    assert not alone.has("val")
    with pytest.raises(FileNotFoundError, match="none of data.photos.sources has photos for val"):
        alone.split("val")


def test_errors_name_the_key_of_the_source(tmp_path, photo):
    def train(source):
        MixedPhotos(sources={"mine": source}).split("train")

    for source, message in {
        PairFolders(): "train_hr is not set",
        PairFolders(train_lr="a"): "train_hr is not set",
        FolderPhotos(): "train_folder is not set",
        FolderPhotos(train_folder="nowhere"): "train_folder=nowhere: no such folder",
        PairFolders(train_hr="nowhere", train_lr="a"): "train_hr=nowhere: no such folder",
        StreamedPhotos(): "train is not set",
        StreamedPhotos(train=str(tmp_path)): "train: ",
    }.items():
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            train(source)
        assert str(caught.value).startswith(f"data.photos.sources.mine.{message}")
    write_flat(tmp_path / "few", 2)
    with pytest.raises(ValueError, match="data.photos.sources.mine.holdout=5: cannot hold back"):
        train(FolderPhotos(train_folder=f"{tmp_path}/few", holdout=5))


def test_sources_without_weights_resume_a_run_on_one_folder(tmp_path):
    """Their batches are the same: shards of a mix go on with its checkpoints."""
    write_flat(tmp_path / "all" / "a", 4)
    write_flat(tmp_path / "all" / "b", 8)
    Image.new("RGB", (40, 40), (1, 2, 3)).save(tmp_path / "all" / "a" / "extra.png")
    (tmp_path / "all" / "a" / "zz_bad.png").write_bytes(b"x")
    write_flat(tmp_path / "val", 2)
    for i, path in enumerate((tmp_path / "val").iterdir()):
        Image.new("RGB", (40, 40), (0, 0, 9 + i)).save(path)
    bad = "data.max_invalid_fraction=0.5"
    val = tmp_path / "val"
    folder = [f"train_folder={tmp_path / 'all'}", f"val_folder={val}", "holdout=0"]
    one = small_module("folder", *[f"data.photos.{option}" for option in folder], bad)
    div2k, flickr2k = (f"data.photos.sources.{name}" for name in ("div2k", "flickr2k"))
    several = small_module(
        "folders",
        f"{div2k}.train_folder={tmp_path / 'all' / 'a'}",
        f"{div2k}.val_folder={val}",
        f"{div2k}.test_folder=null",
        f"+{div2k}.holdout=0",
        f"{flickr2k}.train_folder={tmp_path / 'all' / 'b'}",
        "data.photos.weights=null",
        "data.photos.test=null",
        bad,
    )
    one.check()
    several.check()
    assert [several.photos_of(i) for i in range(5)] == [one.photos_of(i) for i in range(5)]
    several.load_state_dict(one.state_dict())

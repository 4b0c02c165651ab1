import shutil

import pytest
from PIL import Image

from srlit.config import ConfigError, build, check_config
from srlit.data.audit import BadDataError
from srlit.data.image_folder import BenchmarkPhotos, FolderPhotos, SamplePhotos, list_photos
from srlit.data.photo_sets import hold_back
from tests.data.photos import folder_options, small_module, write_flat
from tests.helpers import compose_config

SPLITS = ("train", "val", "test")


def test_the_three_sets_of_some_folders_are_disjoint(photo_folder, tmp_path):
    write_flat(tmp_path / "more", 8)
    sets = FolderPhotos(train_folder=[str(photo_folder), str(tmp_path / "more")], holdout=3)
    train, val, test = sets.split("train"), sets.split("val"), sets.split("test")
    assert (len(train), len(val), len(test)) == (14, 3, 3)
    assert len({*train, *val, *test}) == 20


@pytest.mark.parametrize("inside", ["x3/HR", "HR", "."])
def test_a_benchmark_has_its_images_where_its_scale_is_or_itself(tmp_path, inside, caplog):
    for other in ("x2/HR", "x3/LR"):
        write_flat(tmp_path / other, 1)
    write_flat(tmp_path / inside, 5)
    for folder in ("x2", "x3/LR") if inside == "." else ():
        shutil.rmtree(tmp_path / folder)
    sets = BenchmarkPhotos(folder=str(tmp_path), count=5, scale=3)
    assert {path.parent for path in sets.split("test")} == {tmp_path / inside}
    assert not caplog.records
    BenchmarkPhotos(folder=str(tmp_path), count=6, scale=3).split("test")
    assert "5 images, but the set has 6" in caplog.text
    with pytest.raises(ValueError, match=r"data\.photos\.folder"):
        sets.split("train")


@pytest.mark.parametrize(
    ("total", "holdout", "sizes"),
    [
        *[(3, 0.1, (1, 1, 1)), (12, 0.1, (10, 1, 1)), (60, 0.1, (48, 6, 6))],
        *[(400, 0.1, (360, 20, 20)), (60, 20, (20, 20, 20)), (60, 0.25, (30, 15, 15))],
    ],
)
def test_a_fraction_of_few_photos_is_held_back(tmp_path, caplog, total, holdout, sizes):
    for number in range(total):
        (tmp_path / f"{number}.png").touch()
    sets = FolderPhotos(train_folder=str(tmp_path), holdout=holdout)
    with caplog.at_level("INFO"):
        assert tuple(len(sets.split(split)) for split in ("train", "val", "test")) == sizes
    (line,) = [r.getMessage() for r in caplog.records if "data.photos.holdout" in r.getMessage()]
    assert all(f"{n} photos for {name}" in line for n, name in zip(sizes, SPLITS, strict=True))


def test_a_holdout_of_two_photos_or_of_a_number_with_a_fraction_is_refused(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").touch()
    with pytest.raises(ValueError, match=r"data\.photos\.holdout"):
        FolderPhotos(train_folder=str(tmp_path)).split("train")
    for value in ("1.5", "-0.1", "-1"):
        options = ["data=folder", f"data.photos.train_folder={tmp_path}"]
        options.append(f"data.photos.holdout={value}")
        with pytest.raises(ConfigError, match=r"data\.photos\.holdout"):
            check_config(compose_config("train", *options), "train", options)


def test_the_holdout_is_stable_when_photos_are_added(photo_folder, tmp_path):
    photos = sorted(photo_folder.iterdir())
    _, held = hold_back(photos, 4)
    _, from_reversed = hold_back(photos[::-1], 4)
    assert sorted(from_reversed) == held
    _, with_more = hold_back([*photos, tmp_path / "new.png"], 4)
    assert len(set(held) & set(with_more)) >= 3


def test_bsds400_holds_back_20_and_never_sees_bsd100(shared_data):
    sets = build(compose_config("train", "data=bsds400").data.photos)
    train, val, test = sets.split("train"), sets.split("val"), sets.split("test")
    assert (len(train), len(val), len(test)) == (380, 20, 100)
    assert len({*train, *val, *test}) == 500


def test_the_sample_photos_are_disjoint_and_there():
    sets = build(compose_config("train", "data=sample").data.photos)
    assert isinstance(sets, SamplePhotos)
    paths = [*sets.split("train"), *sets.split("val"), *sets.split("test")]
    assert len(set(paths)) == len(paths)
    assert all(path.is_file() for path in paths)
    assert {p.name for p in sets.split("test")} == {"astronaut.png", "coffee.png"}


def test_a_photo_in_two_sets_is_refused(photo_folder):
    shutil.copytree(photo_folder, photo_folder.parent / "other")
    folders = {"train_folder": photo_folder, "val_folder": photo_folder}
    folders["test_folder"] = photo_folder.parent / "other"
    data = small_module("folder", *folder_options(**folders))
    with pytest.raises(ValueError, match="data.photos: 12 .* train and val"):
        data.check()


def test_unsupported_formats_are_listed_to_be_reported(photo_folder):
    (photo_folder / "raw.heic").write_bytes(b"x")
    (photo_folder / "notes.txt").write_text("no photo")
    (photo_folder / ".hidden.png").write_bytes(b"x")
    listed = FolderPhotos(train_folder=str(photo_folder), holdout=0).split("train")
    assert len(listed) == 13
    assert listed[-1].name == "raw.heic"


def test_photos_of_the_validation_set_are_not_trained_on(photo_folder, tmp_path, caplog):
    (tmp_path / "val").mkdir()
    copied = {"00.png", "01.png", "02.png"}
    for name in copied:
        shutil.copy(photo_folder / name, tmp_path / "val" / f"copy_{name}")
    options = folder_options(train_folder=photo_folder, val_folder=tmp_path / "val", holdout=1)
    data = small_module("folder", *options)
    data.check()
    assert copied.isdisjoint(p.path.name for p in data._train_photos)
    assert len(data._val_photos) == 3
    assert "not trained on" in caplog.text


def test_whether_a_split_is_configured_needs_no_folder(photo_folder):
    sets = FolderPhotos(train_folder="nowhere", val_folder="neither", holdout=0)
    assert [sets.has(split) for split in ("train", "val", "test")] == [True, True, False]
    assert FolderPhotos(train_folder=str(photo_folder), holdout=1).has("test")
    assert not FolderPhotos(test_folder=str(photo_folder), holdout=1).has("val")


def test_a_set_without_usable_photos_is_always_refused(photo_folder):
    for path in photo_folder.iterdir():
        path.write_bytes(b"x")
    options = folder_options(train_folder=photo_folder, holdout=1)
    data = small_module("folder", *options, "data.max_invalid_fraction=1")
    with pytest.raises(BadDataError, match="train: .*not an image"):
        data.check()


def test_links_to_folders_are_followed_once(photo_folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (8, 8)).save(other / "linked.png")
    (photo_folder / "link").symlink_to(other)
    (photo_folder / "again").symlink_to(other)
    (other / "circle").symlink_to(photo_folder)
    names = [path.name for path in list_photos(photo_folder, "key")]
    assert names.count("linked.png") == 1
    assert len(names) == len({*names}) == 13

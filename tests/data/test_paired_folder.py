from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.data.audit import BadDataError, Checks
from srlit.data.reader import PhotoReader
from srlit.data.transforms import evaluation_pair, training_pair
from srlit.types import Photos
from tests.data.photos import folder_options, pair_folders, pair_options, small_module, write_pairs
from tests.helpers import compose_config


def data_of(root, *overrides):
    options = [*pair_options(root), "data.photos.holdout=1", "iterations=5", *overrides]
    data = small_module("pairs", *options)
    data.check()
    return data


@pytest.mark.parametrize("suffix", ["", "x2", "_LR", "_LR2"])
def test_patches_of_a_pair_show_the_same(tmp_path, photo, suffix):
    write_pairs(tmp_path, photo, suffix=suffix)
    data = data_of(tmp_path)
    for batch in data.train_dataloader():
        assert batch.real is None
        assert batch.lr.shape == (3, 3, 16, 16)
        assert torch.equal(batch.lr, batch.pixels[..., ::2, ::2])


def test_real_pairs_are_augmented_alike_and_not_degraded(tmp_path, photo):
    write_pairs(tmp_path, photo)
    data = data_of(tmp_path, "data.augmentation.geometry=true", "degradation=realesrgan")
    turned = 0
    for photos in data.train_dataloader():
        batch = training_pair(photos, data.augmentation, data.degradation)
        # A flip moves the corner pixel of each 2x2 block to another corner, the same of all blocks.
        found = [batch.hr[:, :, y::2, x::2] for y in (0, 1) for x in (0, 1)]
        for i in range(3):
            assert any(torch.equal(batch.lr[i], part[i]) for part in found)
        turned += not torch.equal(batch.hr, photos.pixels / 255)
    assert turned


def test_validation_takes_the_partner_in_place_of_the_degradation(tmp_path, photo):
    write_pairs(tmp_path, photo)
    data = data_of(tmp_path, "degradation@eval_degradation=realesrgan", "data.eval_crop=40")
    (photos,) = data.val_dataloader()
    batch = data.on_after_batch_transfer(photos, 0)
    assert batch.hr.shape[-2:] == (40, 40)
    assert torch.equal(batch.lr, batch.hr[..., ::2, ::2])


def test_whole_photos_are_cropped_to_what_both_show(tmp_path, photo):
    """MATLAB's imresize rounds sizes up, other tools down; both are in use."""
    for name, size in {"up": (49, 61), "down": (48, 60)}.items():
        root = tmp_path / name
        write_pairs(root, photo, count=3)
        for i in range(3):
            hr = np.ascontiguousarray(photo[0, :, i : 97 + i, :121].permute(1, 2, 0))
            Image.fromarray(hr).save(root / "hr" / f"{i:02}.png")
            lr = np.ascontiguousarray(hr[::2, ::2][: size[0], : size[1]])
            Image.fromarray(lr).save(root / "lr" / f"{i:02}.png")
        data = data_of(root, "data.eval_crop=null")
        (photos,) = data.val_dataloader()
        assert photos.pixels.shape[-2:] == (96, 120)
        assert torch.equal(photos.lr, photos.pixels[..., ::2, ::2])


def test_set5_as_pairs_is_matlabs_bicubic(shared_data):
    """Real pairs against an oracle: MATLAB's LR files are what `bicubic` makes of the HR files."""
    root = shared_data / "set5" / "x2"
    options = folder_options(test_hr=root / "HR", test_lr=root / "LR")
    options += ["degradation@eval_degradation=bicubic", "data.eval_crop=null"]
    data = small_module("pairs", *options)
    count = 0
    dataset = data.evaluation_photos("test")
    for photos in map(dataset.read, dataset.groups):
        real = evaluation_pair(photos, data.eval_degradation)
        made = evaluation_pair(Photos(photos.pixels, photos.keys), data.eval_degradation)
        assert ((real.lr - made.lr).abs() * 255).max() <= 1
        assert torch.equal(real.hr, made.hr)
        count += len(photos.keys)
    assert count == 5


# -- what does not match --------------------------------------------------------------------------


TWO = "2 photos without partner"


@pytest.mark.parametrize(
    ("scale", "hr", "lr", "error"),
    [
        (2, "01", "01x2", None),
        (4, "01", "01x2", f"{TWO}.*: 01, 01x2"),
        (None, "01", "01x2", None),
        (2, "01_HR", "01_LR2", None),
        (4, "01_HR", "01_LR2", TWO),
        (2, "640x480", "640x360", TWO),
        (None, "640x480", "640x360", TWO),
        (2, "640x480", "640x480x2", None),
        (2, "fox", "foxLR", TWO),
        (2, "fox", "fox_lr", None),
        (None, "box1 box2", "box1 box3", f"{TWO}.*: box2, box3"),
        (None, "10 10x20 10x30", "10 10x20 10x30", None),
        (None, "03", "03 03x2", "several files for one photo: 03"),
        (2, "1_gt fox-GT", "1_lq fox-LQ", None),
        (2, "3 HR-fox gt_1", "x2_3 LR2-fox lq_1", None),
        (2, "hq_1", "1", None),
        (2, "gtfox", "lqfox", TWO),
    ],
)
def test_photos_are_matched_by_name(tmp_path, scale, hr, lr, error):
    for kind, names in (("hr", hr), ("lr", lr)):
        (tmp_path / kind).mkdir()
        for name in names.split():
            (tmp_path / kind / f"{name}.png").touch()
    sets = pair_folders(tmp_path, scale=scale)
    if error:
        with pytest.raises(BadDataError, match=rf"data\.photos\.train_hr.*{error}"):
            sets.split("train")
    else:
        assert [sets.lr_of(path).stem for path in sets.split("train")] == lr.split()


@pytest.mark.parametrize(
    ("hr_name", "lr_name", "error"),
    [
        ("{name} (clean)", "noisy.{name}.v1", None),
        ("{name} (clean)", "noisy.{name}.v2", "without partner"),
        ("{name}", None, "without partner.*hr_name"),
        ("clean", None, r"data\.photos\.hr_name=clean: .*{name}"),
        (None, "{name}{name}", r"data\.photos\.lr_name={name}{name}: .*{name}"),
    ],
)
def test_names_follow_templates(tmp_path, hr_name, lr_name, error):
    for file in ("hr/a/01 (clean).png", "lr/a/noisy.01.v1.png"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    if error:
        with pytest.raises(ValueError, match=error):
            pair_folders(tmp_path, hr_name=hr_name, lr_name=lr_name).split("train")
    else:
        sets = pair_folders(tmp_path, hr_name=hr_name, lr_name=lr_name)
        assert [sets.lr_of(path).name for path in sets.split("train")] == ["noisy.01.v1.png"]


def test_pairs_of_another_scale_stop_the_run(tmp_path, photo):
    write_pairs(tmp_path, photo, scale=3)
    with pytest.raises(BadDataError, match="pairs have not scale=2:\n.*120x96.*40x32"):
        data_of(tmp_path)


def test_pairs_with_a_broken_half_are_left_out_and_count_together(tmp_path, photo):
    write_pairs(tmp_path, photo, count=10)
    (tmp_path / "hr" / "01.png").write_bytes(b"x")
    (tmp_path / "lr" / "02.png").write_bytes(b"x")
    sets = pair_folders(tmp_path)
    found = sets.audited("train", 1, Checks(2, 0.2, None))
    assert len(found.photos) == 8
    assert {path.name for path, _ in found.rejected} == {"01.png", "02.png"}
    assert any("its partner" in reason for _, reason in found.rejected)
    with pytest.raises(BadDataError, match=r"2 of 10 .*more than data.max_invalid_fraction=0.1"):
        sets.audited("train", 1, Checks(2, 0.1, None))


def test_several_crops_of_a_pair_decode_each_half_once(tmp_path, photo, monkeypatch):
    write_pairs(tmp_path, photo, count=2)
    sets = pair_folders(tmp_path)
    read = Mock(side_effect=sets.read)
    reader = PhotoReader(sets.audited("train", 1, Checks(2, 0, None)).photos, read=read)
    for _ in range(4):
        reader[0], reader.lr(0)
    assert read.call_count == 2


@pytest.mark.parametrize("data", ["data=pairs", "data=mixed"])
@pytest.mark.parametrize("command", ["train", "prepare"])
def test_the_configuration_tells_pairs_their_scale(command, data):
    cfg = compose_config(command, data, "scale=3").data.photos
    assert (cfg if data == "data=pairs" else cfg.sources.real).scale == 3

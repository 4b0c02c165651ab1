import torch

from srlit.data.transforms import Augmentation
from srlit.ops.rng import RowGenerator, make_keys


def test_geometry_draws_all_eight_and_changes_no_pixel(photo):
    patch = photo[..., :24, :24].expand(400, -1, -1, -1)
    rows = RowGenerator(make_keys(0, (), torch.arange(400)))
    hr = (Augmentation()(patch, rows) * 255).round().byte()
    kinds = {
        torch.rot90(base, k, (1, 2)).numpy().tobytes(): 0
        for base in (photo[0, :, :24, :24], photo[0, :, :24, :24].flip(-1))
        for k in range(4)
    }
    for image in hr:
        kinds[image.numpy().tobytes()] += 1
    assert len(kinds) == 8
    assert all(25 <= count <= 80 for count in kinds.values())


def test_colour_is_changed_per_sample_within_bounds(photo):
    patch = photo[..., :24, :24].expand(64, -1, -1, -1)
    rows = RowGenerator(make_keys(0, (), torch.arange(64)))
    augment = Augmentation(geometry=False, brightness=0.05, contrast=0.1, saturation=0.1, hue=0.06)
    hr = augment(patch, rows)
    assert hr.min() >= 0
    assert hr.max() <= 1
    means = hr.mean((2, 3))
    assert means.std(0).min() > 0.005
    assert (means.mean(0) - patch[0].float().mean((1, 2)) / 255).abs().max() < 0.03
    alone = augment(patch[5:6], RowGenerator(make_keys(0, (), torch.tensor([5]))))
    torch.testing.assert_close(alone, hr[5:6])


def test_only_brightness_shifts_by_what_is_drawn():
    patch = torch.full((32, 3, 8, 8), 128, dtype=torch.uint8)
    rows = RowGenerator(make_keys(0, (), torch.arange(32)))
    shift = Augmentation(geometry=False, brightness=0.05)(patch, rows) - 128 / 255
    assert 0.03 < shift.abs().max() <= 0.0501
    assert shift.flatten(1).std(1).max() < 1e-6

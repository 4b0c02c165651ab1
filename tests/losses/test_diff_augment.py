"""Augmentation of a discriminator's images."""

import pytest
import torch

from srlit.losses import diff_augment
from srlit.losses.diff_augment import DiffAugment, InstanceNoise, cutout
from srlit.losses.schedules import LinearRamp


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(64, 3, 24, 20)


def test_instance_noise_has_its_strength_and_follows_its_schedule(images):
    noise = InstanceNoise(sigma=LinearRamp(begin=0.2, end=0.0, over=10))
    found = [float((noise(images, iteration) - images).std()) for iteration in (0, 5)]
    assert found == pytest.approx([0.2, 0.1], rel=0.02)
    assert noise(images, 10) is images


def test_brightness_shifts_each_image(images):
    shifts = (diff_augment.brightness(images) - images).flatten(1)
    torch.testing.assert_close(shifts, shifts[:, :1].expand_as(shifts), atol=1e-6, rtol=0)
    assert shifts.abs().max() <= 0.5
    assert shifts[:, 0].std() == pytest.approx(1 / 12**0.5, rel=0.25)


def test_saturation_keeps_grey_and_scales_colour(images):
    changed = diff_augment.saturation(images)
    torch.testing.assert_close(changed.mean(1), images.mean(1))
    colours = [(x - x.mean(1, keepdim=True)).flatten(1).norm(dim=1) for x in (changed, images)]
    factors = colours[0] / colours[1]
    assert 0 <= factors.min() < 0.3
    assert 1.7 < factors.max() <= 2


def test_contrast_keeps_the_mean_and_scales_the_rest(images):
    changed = diff_augment.contrast(images)
    torch.testing.assert_close(changed.mean((1, 2, 3)), images.mean((1, 2, 3)))
    factors = changed.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.5 <= factors.min() < 0.6
    assert 1.4 < factors.max() <= 1.5


def test_translation_moves_whole_pixels_and_fills_with_zeros(images):
    found = set()
    for before, after in zip(images, diff_augment.translation(images, 0.25), strict=True):
        padded = torch.nn.functional.pad(before, (5, 5, 6, 6))
        places = [(i, j) for i in range(13) for j in range(11)]
        [at] = [(i, j) for i, j in places if torch.equal(after, padded[:, i : i + 24, j : j + 20])]
        found.add(at)
    assert len(found) > 30


def test_cutout_blackens_one_square(images):
    images = images + 1  # nothing is black before
    holes = (cutout(images, 0.5) == 0).all(1)
    sizes = {(int(hole.any(1).sum()), int(hole.any(0).sum())) for hole in holes}
    assert max(h for h, _ in sizes) == 12  # half of 24 and of 20, less where it leaves the image
    assert max(w for _, w in sizes) == 10
    assert len(sizes) > 5
    for hole in holes:
        assert torch.equal(hole, hole.any(1)[:, None] & hole.any(0)[None])


@pytest.mark.parametrize("shape", [(24, 20), (15, 9), (1, 2)])
def test_cutout_is_that_of_the_papers_code(shape):
    images = torch.ones(64, 3, *shape)
    torch.manual_seed(3)
    expected = images * papers_mask(*images.shape)
    torch.manual_seed(3)
    assert torch.equal(cutout(images, 0.5), expected)


def papers_mask(n, channels, h, w):
    """`rand_cutout` of the authors' DiffAugment_pytorch.py, one image after the other."""
    sides = [(side, int(side * 0.5 + 0.5)) for side in (h, w)]
    places = [torch.randint(0, side + (1 - size % 2), (n,)) for side, size in sides]
    mask = torch.ones(n, channels, h, w)
    for image, *centre in zip(mask, *places, strict=True):
        rows, columns = (
            (torch.arange(size) + at - size // 2).clamp(0, side - 1)
            for (side, size), at in zip(sides, centre, strict=True)
        )
        image[:, rows[:, None], columns] = 0
    return mask


def test_an_empty_policy_changes_nothing_and_a_full_one_passes_gradients(images):
    assert torch.equal(DiffAugment(policy=[])(images, 0), images)
    images.requires_grad_()
    DiffAugment()(images, 0).sum().backward()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("augment", [DiffAugment(), InstanceNoise(sigma=0.1)])
def test_the_same_seed_draws_the_same(images, augment):
    results = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        results.append(augment(images, 0))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_gradcheck_through_every_step():
    def fixed(images):
        torch.manual_seed(5)
        return DiffAugment()(images, 0)

    torch.manual_seed(0)
    assert torch.autograd.gradcheck(
        fixed, torch.rand(2, 3, 4, 4, dtype=torch.double).requires_grad_()
    )

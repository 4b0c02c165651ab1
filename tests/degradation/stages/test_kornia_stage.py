import kornia.augmentation as augmentations
import pytest
import torch

from srlit.degradation.stages.kornia_stage import KorniaStage
from srlit.ops.jpeg import jpeg
from srlit.ops.ragged_batch import RaggedBatch
from tests.degradation.sampling import apply, rows
from tests.elsewhere import elsewhere, here

# Parameters of their own per sample; of the whole batch (an order, one kernel size); that depend on
# the image size (a noise field, corners); of varying length.
AUGMENTATIONS = {
    "blur": augmentations.RandomGaussianBlur(5, [0.3, 2.0], border_type="replicate", p=0.7),
    "jitter": augmentations.ColorJitter(0.2, 0.2, 0.2, 0.1, p=1.0),
    "motion": augmentations.RandomMotionBlur([3, 7], 30.0, 0.5, p=1.0),
    "noise": augmentations.RandomGaussianNoise(std=0.1, p=1.0),
    "perspective": augmentations.RandomPerspective(0.3, p=1.0),
    "rain": augmentations.RandomRain(drop_height=(3, 5), drop_width=(-3, 3), p=1.0),
}


@pytest.fixture(params=AUGMENTATIONS)
def stage(request):
    return KorniaStage(augmentation=AUGMENTATIONS[request.param])


def images(photo, n=6):
    return (photo[..., :48, :64].float() / 255).expand(n, -1, -1, -1)


def test_a_sample_depends_on_its_key_alone(photo, stage):
    state = torch.get_rng_state()
    x, params = images(photo), stage.sample(rows(6))
    together = apply(stage, x, params)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(together[0], together[1])
    for i in range(6):
        own = {name: value[i : i + 1] for name, value in params.items()}
        assert torch.equal(apply(stage, x[:1], own), together[i : i + 1])
    torch.rand(3)  # kornia's generator is not the program's
    again = stage.sample(rows(9))
    assert all(torch.equal(again[name][:6], value) for name, value in params.items())
    assert stage.sample(rows(0)).keys() == params.keys()


def test_devices_agree_also_at_sizes_of_their_own(photo, stage):
    x, params = images(photo).clone(), stage.sample(rows(6))
    other = here(apply(stage, elsewhere(x), params))
    torch.testing.assert_close(other, apply(stage, x, params), atol=1e-5, rtol=0)
    sizes = torch.tensor([[48, 64], [40, 33], [20, 64], [48, 30], [30, 30], [25, 41]])
    ragged = stage.apply(RaggedBatch(x, (48, 64), sizes, (20, 30)), params).pixels
    for i, (h, w) in enumerate(sizes.tolist()):
        own = {name: value[i : i + 1] for name, value in params.items()}
        alone = apply(stage, x[i : i + 1, :, :h, :w], own)
        assert torch.equal(ragged[i : i + 1, :, :h, :w], alone)


def test_kornias_parameters_are_recorded_and_can_be_changed(photo):
    stage = KorniaStage(augmentation=augmentations.RandomGaussianBlur(21, [0.5, 2.0], p=1.0))
    params = stage.sample(rows(200))
    assert params.keys() == {"sigma", "batch_prob"}
    assert 0.5 <= params["sigma"].min() < 0.55
    assert 1.95 < params["sigma"].max() <= 2
    own = {"sigma": torch.tensor([0.5, 2.0]), "batch_prob": torch.ones(2)}
    gentle, strong = apply(stage, images(photo, 2), own)
    assert strong.var() < gentle.var()


def test_probability_is_per_sample(photo):
    stage = KorniaStage(augmentation=augmentations.RandomInvert(p=0.3))
    params = stage.sample(rows(300))
    x = images(photo, 300)
    changed = (apply(stage, x, params) != x).any((1, 2, 3))
    assert torch.equal(changed, params["batch_prob"] == 1)
    assert abs(changed.float().mean() - 0.3) < 0.08


def test_padding_to_16_keeps_any_size_and_comes_close_to_libjpeg(photo):
    stage = KorniaStage(augmentation=augmentations.RandomJPEG([75.0, 75.0], p=1.0), pad_to=16)
    x = photo[..., :250, :333].float() / 255
    coded = apply(stage, x, stage.sample(rows(1)))
    assert 0.5 < (coded - jpeg(x, torch.tensor([75.0]))).abs().mean() * 255 < 1.8


def test_what_changes_the_size_or_mixes_samples_is_refused():
    with pytest.raises(ValueError, match=r"augmentation=RandomCrop"):
        KorniaStage(augmentation=augmentations.RandomCrop((8, 8), p=1.0))
    with pytest.raises(TypeError, match=r"augmentation=RandomMixUpV2"):
        KorniaStage(augmentation=augmentations.RandomMixUpV2())

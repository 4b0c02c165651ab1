"""The discriminator's schedule, penalty, augmentation and criterion; both networks' updates."""

import math
from unittest.mock import Mock

import pytest
import torch
from torch.nn import L1Loss

from srlit.losses.composite import CompositeLoss
from srlit.losses.criteria import LeastSquares, RelativisticAverage, Wasserstein
from srlit.losses.penalties import R1, GradientPenalty
from srlit.losses.schedules import LinearRamp
from srlit.phases.adversarial import frozen
from srlit.train import train
from tests.helpers import compose_config
from tests.integration.survival import ADVERSARIAL, differences, go, outcome
from tests.phases.tiny_phases import (
    adversarial,
    at_each_end,
    changed,
    copy_of,
    fit,
    options,
    training_rows,
)


def discriminator_inputs(phase, folder, **changes):
    """Number of images and whether gradients are recorded, of each call of the discriminator."""
    seen, logits = [], phase.logits

    def noted(images):
        seen.append((len(images), torch.is_grad_enabled()))
        return logits(images)

    phase.logits = noted
    fit(phase, folder, **changes)
    return seen


# -- updates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stuck", ["generator", "discriminator"])
def test_each_update_changes_its_own_network_only(tmp_path, stuck):
    still = {f"{stuck}_optimizer": lambda p: torch.optim.SGD(p, lr=0.0)}
    phase = adversarial(iterations=1, **still)
    before = copy_of(phase)
    fit(phase, tmp_path)
    names = {n for n in changed(before, phase) if not n.endswith(("_u", "_v"))}
    moving = {"generator": "discriminator", "discriminator": "generator"}[stuck]
    assert {name.split(".")[0] for name in names} == {moving}
    assert phase.discriminator.training
    assert all(p.requires_grad for p in phase.discriminator.parameters())


def test_frozen_networks_pass_gradients_and_keep_theirs():
    phase = adversarial()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images.requires_grad_()
    before = copy_of(phase.discriminator)
    with frozen(phase.discriminator):
        phase.logits(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(p.grad is None for p in phase.discriminator.parameters())
    assert changed(before, phase.discriminator) == []


def test_the_discriminator_is_updated_first_and_once(tmp_path):
    seen = discriminator_inputs(adversarial(iterations=2), tmp_path)
    assert seen == [(4, True), (2, True)] * 2  # real and restored images, then restored ones


def test_every_term_is_logged_raw_and_weighted(tmp_path):
    [row] = training_rows(adversarial(iterations=1), tmp_path)
    weighted = {name: row[f"train/weighted/{name}"] for name in ("l1", "adversarial")}
    assert row["train/loss"] == pytest.approx(sum(weighted.values()))
    assert weighted["adversarial"] == pytest.approx(0.1 * row["train/raw/adversarial"])
    assert row["train/grad_norm/generator"] > 0
    assert row["train/grad_norm/discriminator"] > 0
    gap = row["train/logits/real"] - row["train/logits/fake"]
    assert row["train/logits/gap"] == pytest.approx(gap, abs=1e-6)
    versus_chance = row["train/discriminator"] / LeastSquares().chance
    assert row["train/d_loss_vs_chance"] == pytest.approx(versus_chance)


def test_each_of_several_updates_sees_the_one_before_in_bfloat16_too(tmp_path):
    """Autocast must not keep rounded weights for a whole training step."""
    phase = adversarial(
        discriminator=torch.nn.Conv2d(3, 1, 4),
        d_updates_per_g_update=3,
        iterations=1,
        discriminator_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    )
    means = []
    phase.discriminator.register_forward_hook(lambda *args: means.append(float(args[-1].mean())))
    fit(phase, tmp_path, precision="bf16-mixed")
    assert len(set(means)) == 4  # three updates of the discriminator, then the generator's


def test_a_loss_without_an_adversarial_weight_is_refused():
    with pytest.raises(ValueError, match=r"'adversarial' in loss\.weights"):
        adversarial(loss=options()["loss"])


# -- when the discriminator is updated ------------------------------------------------------------


@pytest.mark.parametrize("d_start_iteration", [0, 3])
@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(1, [1] * 12), (2, [2] * 12), (0.5, [0, 1] * 6), (1 / 3, [0, 0, 1] * 4), (1.5, [1, 2] * 6)],
)
def test_the_ratio_of_updates_is_kept(ratio, expected, d_start_iteration):
    """Updates are numbered without a gap: the penalty counts them."""
    phase = adversarial(d_updates_per_g_update=ratio, d_start_iteration=d_start_iteration)
    updates = [phase.discriminator_updates(i) for i in range(d_start_iteration + 12)]
    assert [len(numbers) for numbers in updates] == [0] * d_start_iteration + expected
    assert [n for numbers in updates for n in numbers] == list(range(sum(expected)))


def test_before_d_start_iteration_the_discriminator_is_not_used(tmp_path):
    phase = adversarial(d_start_iteration=3)
    before = copy_of(phase.discriminator)
    states = at_each_end(
        phase, lambda: (changed(before, phase.discriminator), phase.trainer.optimizers[1].state)
    )
    rows = training_rows(phase, tmp_path)
    assert states[2] == ([], {})
    assert states[3][0] != []
    assert ["train/raw/adversarial" in row for row in rows] == [False] * 3 + [True]
    assert ["train/logits/gap" in row for row in rows] == [False] * 3 + [True]


# -- options --------------------------------------------------------------------------------------


def test_an_adversarial_weight_can_grow(tmp_path):
    weights = {"l1": 1.0, "adversarial": LinearRamp(begin=0.0, end=0.3, over=3)}
    phase = adversarial(loss=CompositeLoss(weights=weights, terms={"l1": L1Loss()}))
    first, *others = training_rows(phase, tmp_path)
    assert "train/discriminator" in first  # it learns from the start
    assert "train/raw/adversarial" not in first
    for row, weight in zip(others, (0.1, 0.2, 0.3), strict=True):
        found = row["train/weighted/adversarial"] / row["train/raw/adversarial"]
        assert found == pytest.approx(weight)
        fractions = [row[f"train/loss_fraction/{name}"] for name in ("l1", "adversarial")]
        assert sum(fractions) == pytest.approx(1)


def test_both_updates_augment_the_discriminators_images(tmp_path):
    seen = []

    def augmentation(images, iteration):
        seen.append((iteration, len(images)))
        return images

    fit(adversarial(d_augment=[augmentation], iterations=2), tmp_path)
    assert seen == [(0, 4), (0, 2), (1, 4), (1, 2)]  # real and restored, then restored


def test_a_penalty_changes_the_discriminator_when_it_is_due(tmp_path):
    options = {"d_updates_per_g_update": 0.5, "iterations": 6}
    phase = adversarial(penalty=R1(weight=10.0, every=2), **options)
    rows = training_rows(phase, tmp_path)
    assert ["train/discriminator" in row for row in rows] == [False, True] * 3
    assert ["train/penalty" in row for row in rows] == [False, True, False, False, False, True]
    plain = adversarial(**options)
    fit(plain, tmp_path)
    assert changed(plain.discriminator.state_dict(), phase.discriminator)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (LeastSquares(), [(4, True), (2, True)]),
        (RelativisticAverage(), [(4, True), (2, False), (2, True)]),
    ],
)
def test_only_a_relativistic_criterion_needs_a_pass_over_real_images(tmp_path, criterion, expected):
    phase = adversarial(criterion=criterion, iterations=1)
    assert discriminator_inputs(phase, tmp_path) == expected


def test_a_relativistic_generator_is_compared_with_its_batchs_real_images(tmp_path):
    phase = adversarial(criterion=RelativisticAverage(), iterations=1)
    generator = phase.criterion.generator
    phase.criterion.generator = Mock(side_effect=generator)
    [row] = training_rows(phase, tmp_path)
    fake, real = phase.criterion.generator.call_args.args
    assert fake.requires_grad
    assert not real.requires_grad
    assert real.shape == fake.shape
    assert row["train/raw/adversarial"] == pytest.approx(float(generator(fake, real).detach()))


def test_wgan_gp_trains_and_has_no_chance_level_to_log(tmp_path):
    phase = adversarial(criterion=Wasserstein(), penalty=GradientPenalty())
    rows = training_rows(phase, tmp_path)
    assert "train/d_loss_vs_chance" not in rows[0]
    assert rows[0]["train/discriminator"] == pytest.approx(-rows[0]["train/logits/gap"], abs=1e-6)
    assert all(math.isfinite(row["train/penalty"]) for row in rows)


# -- all options at once --------------------------------------------------------------------------

AUGMENT, RAMP = "srlit.losses.diff_augment", "srlit.losses.schedules.CosineRamp"
NOISE = f"{{_target_: {AUGMENT}.InstanceNoise, sigma: 0.1}}"
ALL_AT_ONCE = (
    *ADVERSARIAL,
    "phase.d_start_iteration=1",
    "phase.d_updates_per_g_update=1.5",
    "phase.micro_batches=2",
    "criterion=ragan",
    "penalty=wgan_gp",
    "penalty.every=2",
    "loss.weights.ldl=1.0",
    f"phase.d_augment=[{NOISE}, {{_target_: {AUGMENT}.DiffAugment}}]",
    f"loss.weights.adversarial={{_target_: {RAMP}, begin: 0, end: 0.05, over: 6}}",
)


def test_with_all_options_a_killed_training_still_ends_to_the_bit(tmp_path):
    assert go(tmp_path / "a", *ALL_AT_ONCE) == 0
    assert go(tmp_path / "b", *ALL_AT_ONCE, moment="between_the_updates", turn=5) == -9
    assert go(tmp_path / "b", *ALL_AT_ONCE) == 0
    assert differences(outcome(tmp_path / "a"), outcome(tmp_path / "b")) == []


def test_with_all_options_two_trainings_in_bfloat16_are_one_and_finite(tmp_path):
    found = []
    for name in ("first", "second"):
        paths = (f"paths.runs={tmp_path / name / 'runs'}", f"paths.cache={tmp_path / 'cache'}")
        own = ("iterations=3", "trainer.precision=bf16-mixed", "name=a")
        train(compose_config("train", *ALL_AT_ONCE, *own, *paths))
        found.append(outcome(tmp_path / name, iterations=3))
    assert differences(*found) == []
    values = {name: value for row in found[0]["rows"] for name, value in row.items() if value}
    assert {"train/penalty", "train/weighted/adversarial"} <= set(values)
    assert all(math.isfinite(float(value)) for value in values.values())

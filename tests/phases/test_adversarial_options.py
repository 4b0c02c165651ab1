"""Warm-up, ratio, penalty, d_augment, micro-batches: what each changes, and nothing else."""

import copy
import math

import pytest
import torch
from torch.nn import L1Loss

from srlit.losses.composite import CompositeLoss
from srlit.losses.criteria import LeastSquares, RelativisticAverage, Wasserstein
from srlit.losses.penalties import R1, GradientPenalty
from srlit.losses.schedules import LinearRamp
from srlit.models.patchgan import PatchGAN
from srlit.phases import AdversarialPhase, RestorationPhase
from srlit.train import train
from tests.helpers import compose_config
from tests.integration.survival import ADVERSARIAL, differences, go, outcome
from tests.phases.test_phases import batches, changed, fit, shared


def slow(parameters):
    return torch.optim.SGD(parameters, lr=1e-3)


def phase_with(discriminator=None, **options):
    torch.manual_seed(0)
    return AdversarialPhase(
        discriminator=discriminator or PatchGAN(width=4, layers=1),
        generator_optimizer=slow,
        **(
            shared(iterations=4, adversarial=True)
            | {"criterion": LeastSquares(), "discriminator_optimizer": slow}
            | options
        ),
    )


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1, [1] * 12),
        (2, [2] * 12),
        (0.5, [0, 1] * 6),
        (1 / 3, [0, 0, 1] * 4),
        (1.5, [1, 2] * 6),
    ],
)
def test_the_ratio_is_kept_and_known_in_advance(ratio, expected):
    phase = phase_with(d_updates_per_g_update=ratio)
    updates = [phase.discriminator_updates(i) for i in range(12)]
    assert [len(numbers) for numbers in updates] == expected
    assert [n for numbers in updates for n in numbers] == list(range(sum(expected)))


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, 10), (1, 20), (2, 40), (1 / 3, 6)])
def test_twenty_iterations_hold_so_many_updates(tmp_path, ratio, expected):
    phase = phase_with(d_updates_per_g_update=ratio, iterations=20)
    seen = []
    phase.update_discriminator = lambda restored, optimizer, number: seen.append(number)
    fit(phase, tmp_path, count=20, validate_every=20)
    assert seen == list(range(expected))


@pytest.mark.parametrize("d_start_iteration", [0, 3])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 1, 2, 3.5])
def test_the_penalty_comes_every_so_many_updates_whatever_the_ratio(d_start_iteration, ratio):
    phase = phase_with(
        d_updates_per_g_update=ratio,
        d_start_iteration=d_start_iteration,
        penalty=R1(weight=1.0, every=16),
    )
    updates = [n for i in range(400) for n in phase.discriminator_updates(i)]
    due = [phase.penalty.is_due(n) for n in updates]
    assert sum(due) == -(-len(updates) // 16)


def test_during_the_warm_up_there_is_no_game(tmp_path):
    phase = phase_with(d_start_iteration=3, iterations=3)
    phase(batches(1)[0].lr)
    phase.logits(torch.rand(1, 3, 32, 32))
    before = copy.deepcopy(phase.discriminator.state_dict())
    rows = []
    phase.write_row = rows.append
    fit(phase, tmp_path, count=3)
    assert not changed(before, phase.discriminator)
    assert not phase.trainer.optimizers[1].state
    assert not any("adversarial" in name or "logits" in name for row in rows for name in row)
    phase = phase_with(d_start_iteration=3, iterations=4)
    phase.write_row = rows.append
    fit(phase, tmp_path, count=4)
    assert any("train/raw/adversarial" in row for row in rows)


def test_an_adversarial_weight_is_let_in_slowly(tmp_path):
    weights = {"l1": 1.0, "adversarial": LinearRamp(begin=0.0, end=0.3, over=3)}
    phase = phase_with(loss=CompositeLoss(weights=weights, terms={"l1": L1Loss()}))
    rows = []
    phase.write_row = rows.append
    fit(phase, tmp_path)
    found = [row for row in rows if "train/discriminator" in row]
    assert "train/raw/adversarial" not in found[0]  # it learns from the start, and is not asked yet
    for row, weight in zip(found[1:], (0.1, 0.2, 0.3), strict=True):
        share = row["train/weighted/adversarial"] / row["train/raw/adversarial"]
        assert share == pytest.approx(weight)
        terms = [row[f"train/loss_fraction/{name}"] for name in ("l1", "adversarial")]
        assert sum(terms) == pytest.approx(1)


def test_disguises_come_before_the_discriminator_in_both_updates(tmp_path):
    seen = []

    def disguise(images, iteration):
        seen.append((iteration, len(images)))
        return images

    phase = phase_with(d_augment=[disguise], iterations=2)
    fit(phase, tmp_path, count=2)
    assert seen == [(0, 4), (0, 2), (1, 4), (1, 2)]  # real and restored, then restored


def test_the_penalty_counts_updates_and_not_iterations(tmp_path):
    rows = []
    phase = phase_with(d_updates_per_g_update=0.5, penalty=R1(weight=10.0, every=2), iterations=6)
    phase.write_row = rows.append
    fit(phase, tmp_path, count=6)
    trained = [row for row in rows if "learning_rate" in row]
    assert ["train/discriminator" in row for row in trained] == [False, True] * 3
    assert ["train/penalty" in row for row in trained] == [False, True, False, False, False, True]


def test_the_gap_between_the_opinions_is_logged(tmp_path):
    rows = []
    phase = phase_with(iterations=1)
    phase.write_row = rows.append
    fit(phase, tmp_path, count=1)
    [row] = [row for row in rows if "train/logits/gap" in row]
    gap = row["train/logits/real"] - row["train/logits/fake"]
    assert row["train/logits/gap"] == pytest.approx(gap, abs=1e-6)
    edge = row["train/discriminator"] / phase.criterion.chance
    assert row["train/d_loss_vs_chance"] == pytest.approx(edge)


def test_the_penalty_comes_when_it_is_due_and_counts(tmp_path):
    rows = []
    phase = phase_with(penalty=R1(weight=10.0, every=2))
    phase.write_row = rows.append
    fit(phase, tmp_path)
    found = [row.get("train/penalty") for row in rows if "train/discriminator" in row]
    assert [value is not None for value in found] == [True, False, True, False]
    plain = phase_with()
    fit(plain, tmp_path)
    assert changed(plain.discriminator.state_dict(), phase.discriminator)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (LeastSquares(), [(4, True), (2, True)]),
        (RelativisticAverage(), [(4, True), (2, False), (2, True)]),
    ],
)
def test_real_images_cost_the_generator_a_pass_only_where_it_is_asked_for(
    tmp_path, criterion, expected
):
    """Both in one pass for the discriminator; real ones without a graph, then restored ones."""
    phase = phase_with(criterion=criterion, iterations=1)
    seen, logits = [], phase.logits

    def counted(images):
        seen.append((len(images), torch.is_grad_enabled()))
        return logits(images)

    phase.logits = counted
    fit(phase, tmp_path, count=1)
    assert seen == expected


def test_the_generator_is_compared_with_the_real_images_of_its_batch(tmp_path):
    rows = []
    phase = phase_with(criterion=RelativisticAverage(), iterations=1)
    phase.write_row = rows.append
    given = []
    generator = phase.criterion.generator
    phase.criterion.generator = lambda fake, real: (
        given.append((fake, real)) or generator(fake, real)
    )
    fit(phase, tmp_path, count=1)
    [(fake, real)] = given
    [hr] = [batch.hr for batch in batches(1)]
    assert fake.requires_grad
    assert not real.requires_grad
    assert real.shape == fake.shape
    assert len(real) == len(hr)
    [row] = [row for row in rows if "train/raw/adversarial" in row]
    assert row["train/raw/adversarial"] == pytest.approx(float(generator(fake, real).detach()))


def test_wgan_gp_trains_and_has_no_edge_to_log(tmp_path):
    rows = []
    phase = phase_with(criterion=Wasserstein(), penalty=GradientPenalty())
    phase.write_row = rows.append
    fit(phase, tmp_path)
    [first, *_] = [row for row in rows if "train/discriminator" in row]
    assert "train/d_loss_vs_chance" not in first
    assert first["train/discriminator"] == pytest.approx(-first["train/logits/gap"], abs=1e-6)
    assert all(math.isfinite(row["train/penalty"]) for row in rows if "train/discriminator" in row)


def test_each_of_several_updates_sees_the_one_before_in_bfloat16_too(tmp_path):
    """Lightning tells autocast not to keep rounded weights for a whole training step."""
    means = []
    phase = phase_with(
        torch.nn.Conv2d(3, 1, 4),
        d_updates_per_g_update=3,
        iterations=1,
        discriminator_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    )
    logits = phase.logits

    def noted(images):
        found = logits(images)
        means.append(float(found.detach().mean()))
        return found

    phase.logits = noted
    fit(phase, tmp_path, count=1, precision="bf16-mixed")
    assert len(set(means)) == 4  # three updates of the discriminator, then the generator's


@pytest.mark.parametrize(
    "wrong",
    [
        {"d_start_iteration": -1},
        {"d_updates_per_g_update": 0},
        {"d_updates_per_g_update": float("inf")},
    ],
)
def test_numbers_out_of_range_name_the_keys(wrong):
    with pytest.raises(
        ValueError, match=r"phase.d_start_iteration=-?\d+, phase.d_updates_per_g_update="
    ):
        phase_with(**wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda parts: RestorationPhase(optimizer=slow, **shared(), micro_batches=parts),
        # Spectral normalisation moves its vectors at each forward pass, so it is left out here.
        lambda parts: phase_with(torch.nn.Conv2d(3, 1, 4), micro_batches=parts),
    ],
    ids=["restoration", "adversarial"],
)
def test_parts_of_a_batch_give_the_batchs_update(tmp_path, make):
    ends = []
    for parts in (1, 2):
        torch.manual_seed(0)
        phase = make(parts)
        fit(phase, tmp_path)
        ends.append(phase.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_a_batch_that_cannot_be_parted_is_told(tmp_path):
    with pytest.raises(ValueError, match="phase.micro_batches=0: expected at least 1"):
        RestorationPhase(optimizer=slow, **shared(), micro_batches=0)
    phase = RestorationPhase(optimizer=slow, **shared(), micro_batches=3)
    with pytest.raises(ValueError, match="phase.micro_batches=3 does not divide the batch of 2"):
        fit(phase, tmp_path)


ALL_AT_ONCE = (
    *ADVERSARIAL,
    "phase.d_start_iteration=1",
    "phase.d_updates_per_g_update=1.5",
    "phase.micro_batches=2",
    "criterion=ragan",
    "penalty=wgan_gp",
    "penalty.every=2",
    "loss.weights.ldl=1.0",
    (
        "phase.d_augment=[{_target_: srlit.losses.diff_augment.InstanceNoise, sigma: 0.1},"
        "{_target_: srlit.losses.diff_augment.DiffAugment}]"
    ),
    (
        "loss.weights.adversarial={_target_: srlit.losses.schedules.CosineRamp,"
        " begin: 0, end: 0.05, over: 6}"
    ),
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

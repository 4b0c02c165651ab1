"""The clock, one network's update, EMA, validation, loss inputs."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import L1Loss
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from srlit.callbacks.early_stopping import EarlyStopping
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.losses.composite import CompositeLoss
from srlit.losses.lpips_loss import LPIPSLoss
from srlit.losses.stage1 import Stage1
from srlit.metrics.suite import MetricSuite
from srlit.models.edsr import EDSR
from srlit.models.two_stage import TwoStage
from srlit.models.unet import UNet
from srlit.ops.resize import shrink
from srlit.phases.base import loss_fractions
from srlit.types import Batch
from tests.phases.tiny_phases import (
    adversarial,
    at_each_end,
    batches,
    changed,
    copy_of,
    fit,
    restoration,
    rows_of,
    training_rows,
)

NAN = float("nan")

# -- the clock ------------------------------------------------------------------------------------


def test_ten_gan_iterations_count_as_ten(tmp_path):
    phase = adversarial(iterations=10)
    rows = rows_of(phase, tmp_path, data=batches(50), validate_every=4)
    assert phase.iteration == 10
    assert [r["iteration"] for r in rows if "learning_rate" in r] == list(range(1, 11))
    assert [r["iteration"] for r in rows if "val/psnr_rgb_b0" in r] == [4, 8, 10]  # the end, too


def test_validations_fall_on_the_clock_after_a_resume(tmp_path):
    phase = restoration(iterations=12)
    phase.iteration = 5
    rows = rows_of(phase, tmp_path, validate_every=4)
    assert [r["iteration"] for r in rows if "val/loss" in r] == [8, 12]


def test_dropout_is_a_function_of_the_iteration(tmp_path):
    small = {"head_blocks": 1, "bottleneck_blocks": 1, "tail_blocks": 1}

    def final(noise):
        torch.manual_seed(0)
        network = UNet(scale=2, width=8, dropout=0.5, **small)
        phase = restoration(iterations=2, generator=network)
        torch.manual_seed(noise)  # must not matter
        fit(phase, tmp_path)
        return network.state_dict()

    first, second = final(1), final(2)
    assert all(torch.equal(first[k], second[k]) for k in first)


# -- updates --------------------------------------------------------------------------------------


def test_gradients_are_clipped_to_the_norm(tmp_path):
    phase = restoration(iterations=1, grad_clip_norm=1e-3)
    before = copy_of(phase.generator)
    fit(phase, tmp_path)
    steps = [(v - before[k]).norm() for k, v in phase.generator.state_dict().items()]
    rate = 1e-2
    assert float(torch.stack(steps).norm()) == pytest.approx(rate * 1e-3, rel=1e-3)


def batch_norm_generator():
    """A generator with batch statistics, an integer counter and spectral norm's vectors."""
    conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 12, 3, padding=1))
    network = nn.Sequential(conv, nn.BatchNorm2d(12), nn.PixelShuffle(2))
    network.scale = 2
    return network


def batch_norm_discriminator():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.LeakyReLU(), nn.Conv2d(4, 1, 3)
    )


def batch_norm_phase(make=adversarial, **changes):
    torch.manual_seed(0)
    networks = {"generator": batch_norm_generator()}
    if make is adversarial:
        networks["discriminator"] = batch_norm_discriminator()
    return make(**networks | changes)


def nan_batch(part, index=1, count=4):
    """Batches of which one holds a NaN in lr or hr."""
    data = batches(count)
    getattr(data[index], part)[0, 0, 0, 0] = NAN
    return data


def is_finite(network):
    return all(value.isfinite().all() for value in network.state_dict().values())


def adam(fused):
    return lambda parameters: torch.optim.Adam(parameters, lr=1e-3, fused=fused)


@pytest.mark.parametrize("micro_batches", [1, 2])
@pytest.mark.parametrize("fused", [True, False], ids=["on the device", "on the host"])
@pytest.mark.parametrize("part", ["lr", "hr"])
def test_a_nan_batch_changes_nothing_in_either_network(tmp_path, part, fused, micro_batches):
    """Weights, moments, batch statistics, counters and spectral norm's vectors stay."""
    optimizers = {f"{n}_optimizer": adam(fused) for n in ("generator", "discriminator")}
    phase = batch_norm_phase(iterations=2, log_every=2, micro_batches=micro_batches, **optimizers)

    def state():
        moments = [copy.deepcopy(o.state_dict()["state"]) for o in phase.trainer.optimizers]
        return copy_of(phase), moments

    states = at_each_end(phase, state)
    fit(phase, tmp_path, data=nan_batch(part, count=2))
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=0)
    expected = {0: True, 1: False}
    assert phase.finite_check.read() == {"generator": expected, "discriminator": expected}


@pytest.mark.parametrize("make", [restoration, adversarial])
def test_training_continues_with_the_iteration_after_a_nan_batch(tmp_path, make):
    phase = batch_norm_phase(make, log_every=4)
    rows = rows_of(phase, tmp_path, data=nan_batch("lr"))
    assert is_finite(phase)
    assert {0: True, 1: False, 2: True, 3: True} in phase.finite_check.read().values()
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert int(phase.generator[1].num_batches_tracked) == 3


def test_a_nan_loss_of_one_network_leaves_the_other_to_train(tmp_path):
    phase = batch_norm_phase(iterations=1)
    original = phase.generator_loss
    phase.generator_loss = lambda restored: original(restored) * NAN
    before = copy_of(phase)
    fit(phase, tmp_path)
    assert {name.split(".")[0] for name in changed(before, phase)} == {"discriminator"}
    assert phase.finite_check.read() == {"generator": {0: False}, "discriminator": {0: True}}


@pytest.mark.parametrize("make", [restoration, adversarial])
def test_parts_of_a_batch_give_the_update_of_the_whole(tmp_path, make):
    ends = []
    for micro_batches in (1, 2):
        torch.manual_seed(0)
        # Spectral normalisation changes its vectors in each forward pass, so it is left out here.
        networks = {"discriminator": nn.Conv2d(3, 1, 4)} if make is adversarial else {}
        phase = make(micro_batches=micro_batches, **networks)
        fit(phase, tmp_path)
        ends.append(phase.state_dict())
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)


def test_a_batch_that_cannot_be_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"phase\.micro_batches=3.* 2$"):
        fit(restoration(micro_batches=3), tmp_path)


def test_loss_fractions_sum_to_one_where_there_is_a_loss():
    means = {"loss": 4.0, "weighted/l1": 1.0, "weighted/adversarial": 3.0, "raw/l1": 1.0}
    expected = {"loss_fraction/l1": 0.25, "loss_fraction/adversarial": 0.75}
    assert loss_fractions(means) == expected
    assert loss_fractions({"loss": 0.0, "weighted/l1": 0.0}) == {}


# -- schedules ------------------------------------------------------------------------------------


def test_cosine_ends_at_zero(tmp_path):
    phase = restoration(
        iterations=8, schedule=lambda optimizer: CosineAnnealingLR(optimizer, T_max=8)
    )
    rates = [row["learning_rate"] for row in training_rows(phase, tmp_path)]
    expected = [0.005 * (1 + math.cos(math.pi * i / 8)) for i in range(1, 9)]
    assert rates == pytest.approx(expected, abs=1e-9)


def test_the_rate_is_halved_on_a_plateau_of_validations(tmp_path):
    phase = restoration(
        optimizer=lambda p: torch.optim.SGD(p, lr=0.0),  # no progress at all
        iterations=5,
        schedule=lambda optimizer: ReduceLROnPlateau(optimizer, factor=0.5, patience=2),
    )
    trainer = fit(phase, tmp_path, validate_every=1)
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    assert scheduler.factor == 0.5
    assert scheduler.num_bad_epochs == 1  # 5 validations: first is best, 3 bad, halved, 1 bad
    assert scheduler.last_epoch == 5


def test_early_stopping_counts_validations(tmp_path):
    phase = restoration(optimizer=lambda p: torch.optim.SGD(p, lr=0.0), iterations=10)
    callbacks = [EarlyStopping(patience=2), LPIPSCheckpoint(folder=str(tmp_path), metric="loss")]
    fit(phase, tmp_path, validate_every=1, callbacks=callbacks)
    assert phase.iteration == 3  # the first validation is the best, two are not better


# -- validation and state -------------------------------------------------------------------------


def test_one_nan_image_makes_the_validation_nan(tmp_path):
    phase = restoration(iterations=1)
    found = torch.tensor([0.2, NAN])
    phase.metrics._metrics["mae"] = SimpleNamespace(needs=(), against=lambda hr: lambda sr: found)
    fit(phase, tmp_path)
    assert math.isnan(phase.validation["mae"])


def test_no_backbone_is_in_the_state(shared_weights):
    terms = {"lpips": LPIPSLoss(net="alex", weights_dir=str(shared_weights))}
    loss = CompositeLoss(weights={"lpips": 1.0}, terms=terms)
    metrics = MetricSuite(names=["lpips_alex"], weights_dir=str(shared_weights))
    phase = restoration(loss=loss, metrics=metrics)
    assert all(key.startswith("generator.") for key in phase.state_dict())
    assert set(phase.parameters()) == set(phase.generator.parameters())


# -- loss inputs ----------------------------------------------------------------------------------


class Recorder(nn.Module):
    """A loss term that keeps what it was given."""

    def __init__(self, *names):
        super().__init__()
        self.needs = names
        self.calls = []

    def forward(self, sr, hr, **loss_inputs):
        self.calls.append((sr, hr, loss_inputs))
        return (sr - hr).abs().mean()


def recording(*names):
    term = Recorder(*names)
    return term, CompositeLoss(weights={"it": 1.0}, terms={"it": term})


def with_ema(phase):
    ema = copy.deepcopy(phase.generator).requires_grad_(requires_grad=False)
    for parameter in ema.parameters():
        parameter.add_(0.1)
    phase.use_ema(ema, decay=1.0)
    return ema


def test_a_term_gets_lr_in_training_and_validation(tmp_path):
    term, loss = recording("lr")
    fit(restoration(loss=loss, iterations=1), tmp_path, validate_every=1)
    assert len(term.calls) >= 2
    for _, hr, inputs in term.calls:  # the training's batch and the validation's are the same
        assert torch.equal(inputs["lr"], batches(1)[0].lr)
        assert torch.equal(hr, batches(1)[0].hr)


def test_a_term_gets_what_the_ema_restores(tmp_path):
    term, loss = recording("ema_sr")
    phase = restoration(loss=loss, iterations=1)
    expected = with_ema(phase)(batches(1)[0].lr)
    fit(phase, tmp_path, validate_every=1)
    (sr, _, training), *validations = term.calls
    torch.testing.assert_close(training["ema_sr"], expected)
    assert not torch.allclose(sr, expected)
    assert not training["ema_sr"].requires_grad
    for sr, _, validation in validations:
        assert validation["ema_sr"] is sr


def test_without_an_ema_the_restored_image_is_used_and_nothing_is_restored_twice(tmp_path):
    term, loss = recording("ema_sr")
    phase = restoration(loss=loss, iterations=1)
    calls = []
    phase.generator.register_forward_hook(lambda *_: calls.append(1))
    fit(phase, tmp_path, validate_every=1)
    sr, _, inputs = term.calls[0]
    assert torch.equal(inputs["ema_sr"], sr)
    assert not inputs["ema_sr"].requires_grad
    assert len(calls) == len(term.calls)


def test_the_ema_restores_nothing_where_no_term_needs_it():
    phase = restoration()
    calls = []
    with_ema(phase).register_forward_hook(lambda *_: calls.append(1))
    phase.loss_inputs(phase.generate(batches(1)[0]))
    assert not calls


# -- the auxiliary loss of a generator's first stage ----------------------------------------------


def two_stage(scale=2, **changes):
    torch.manual_seed(0)
    return TwoStage(scale=scale, num_feat=8, num_block=1, num_grow_ch=4, **changes)


def stage1_loss(weight, **others):
    terms = {"l1": L1Loss(), "stage1": Stage1()}
    return CompositeLoss(weights={"l1": 1.0, "stage1": weight} | others, terms=terms)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_stage_1_is_compared_with_the_target_at_its_size(scale):
    generator = two_stage(scale)
    phase = restoration(generator=generator, loss=stage1_loss(0.5))
    draws = torch.Generator().manual_seed(0)
    lr = torch.rand(2, 3, 12, 15, generator=draws)
    hr = torch.rand(2, 3, 12 * scale, 15 * scale, generator=draws)
    restored = phase.generate(Batch(lr, hr))
    torch.testing.assert_close(restored.sr, phase(lr))
    small = shrink(hr, (12, 15))

    def stage1(restored):
        return phase.loss(restored.sr, hr, loss_inputs=phase.loss_inputs(restored)).raw["stage1"]

    expected = (generator.forward_stages(lr).stage1_output - small).abs().mean()
    torch.testing.assert_close(stage1(restored), expected.detach())
    assert float(stage1(restored._replace(stage1_output=small))) == 0


def test_stage_1_is_logged_and_trained_alone_where_stage_2_is_frozen(tmp_path):
    phase = restoration(generator=two_stage(frozen=[2]), loss=stage1_loss(0.5), iterations=2)
    before = copy_of(phase.generator)
    [row, _] = training_rows(phase, tmp_path)
    assert row["train/weighted/stage1"] == pytest.approx(0.5 * row["train/raw/stage1"])
    assert len({name.split(".")[0] for name in changed(before, phase.generator)}) == 1


def test_stage_1_is_not_computed_without_a_weight():
    phase = restoration(generator=two_stage(), loss=stage1_loss(0.0))
    restored = phase.generate(batches(1)[0])
    assert restored.stage1_output is None
    assert phase.loss_inputs(restored).keys() == {"lr"}


def test_the_adversarial_phase_takes_stage_1_in_micro_batches(tmp_path):
    loss = stage1_loss(0.2, adversarial=0.1)
    phase = adversarial(generator=two_stage(), loss=loss, micro_batches=2, iterations=1)
    [row] = training_rows(phase, tmp_path)
    total = sum(row[f"train/weighted/{name}"] for name in ("l1", "stage1", "adversarial"))
    assert row["train/loss"] == pytest.approx(total)


def test_a_generator_without_stages_is_refused():
    with pytest.raises(ValueError, match=r"loss\.terms.*model=two_stage"):
        restoration(loss=stage1_loss(0.5), generator=EDSR(scale=2, width=8, blocks=1))

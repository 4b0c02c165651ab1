import copy
import math
from types import SimpleNamespace

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ProgressBar
from torch.nn import L1Loss
from torch.utils.data import DataLoader

from srlit.callbacks import EarlyStopping, LPIPSCheckpoint
from srlit.losses.composite import CompositeLoss
from srlit.losses.criteria import LeastSquares
from srlit.metrics.suite import MetricSuite
from srlit.models.edsr import EDSR
from srlit.models.patchgan import PatchGAN
from srlit.phases import AdversarialPhase, Constant, Cosine, HalveOnPlateau, RestorationPhase
from srlit.phases.adversarial import frozen
from srlit.phases.running_means import RunningMeans
from srlit.types import Batch


def shared(iterations=4, adversarial=False, **changes):
    weights = {"l1": 1.0} | ({"adversarial": 0.1} if adversarial else {})
    return {
        "generator": EDSR(scale=2, width=8, blocks=1),
        "loss": CompositeLoss(weights=weights, terms={"l1": L1Loss()}),
        "metrics": MetricSuite(names=["psnr_rgb_b0"]),
        "schedule": Constant(),
        "iterations": iterations,
        "seed": 0,
        "grad_clip_norm": None,
        "log_every": 1,
        "card": {"model": {}},
    } | changes


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def adversarial_phase(**changes):
    return AdversarialPhase(
        discriminator=PatchGAN(width=4, layers=1),
        criterion=LeastSquares(),
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        **shared(adversarial=True, **changes),
    )


def batches(count):
    generator = torch.Generator().manual_seed(0)
    return [
        Batch(
            torch.rand(2, 3, 16, 16, generator=generator),
            torch.rand(2, 3, 32, 32, generator=generator),
        )
        for _ in range(count)
    ]


def fit(phase, folder, count=4, validate_every=2, callbacks=(), **options):
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks),
        default_root_dir=folder,
        **options,
    )
    loader = DataLoader(batches(count), batch_size=None)
    trainer.fit(phase, loader, DataLoader(batches(1), batch_size=None))
    return trainer


def changed(before, network):
    return [k for k, v in network.state_dict().items() if not torch.equal(v, before[k])]


def test_a_generator_step_leaves_the_discriminator_unchanged(tmp_path):
    phase = adversarial_phase()
    phase.discriminator(torch.rand(1, 3, 32, 32))
    before = copy.deepcopy(phase.discriminator.state_dict())
    generator_before = copy.deepcopy(phase.generator.state_dict())
    phase.manual_backward = lambda loss: loss.backward()
    optimizer = sgd(phase.generator.parameters())
    batch = batches(1)[0]
    phase.update_generator([phase.generate(batch)], optimizer)
    assert not changed(before, phase.discriminator)
    assert changed(generator_before, phase.generator)
    assert all(p.grad is None for p in phase.discriminator.parameters())
    assert all(p.requires_grad for p in phase.discriminator.parameters())
    assert phase.discriminator.training


def test_a_discriminator_step_leaves_the_generator_unchanged():
    phase = adversarial_phase()
    before = copy.deepcopy(phase.generator.state_dict())
    discriminator_before = copy.deepcopy(phase.discriminator.state_dict())
    phase.manual_backward = lambda loss: loss.backward()
    batch = batches(1)[0]
    phase.update_discriminator([phase.generate(batch)], sgd(phase.discriminator.parameters()))
    assert not changed(before, phase.generator)
    assert all(p.grad is None for p in phase.generator.parameters())
    assert changed(discriminator_before, phase.discriminator)


def test_the_discriminator_steps_first_and_once(tmp_path):
    phase = adversarial_phase(iterations=2)
    order = []
    phase.update_discriminator = lambda *a: order.append("d")
    phase.update_generator = lambda *a: order.append("g")
    fit(phase, tmp_path, count=2)
    assert order == ["d", "g", "d", "g"]


def test_one_batched_pass_over_real_and_fake_gives_the_logits_of_two():
    phase = adversarial_phase()
    real, fake = batches(1)[0].hr, torch.rand(2, 3, 32, 32)
    with frozen(phase.discriminator):
        together = phase.logits(torch.cat([real, fake])).chunk(2)
        torch.testing.assert_close(together[0], phase.logits(real))
        torch.testing.assert_close(together[1], phase.logits(fake))


def test_ten_gan_iterations_read_as_ten(tmp_path):
    phase = adversarial_phase(iterations=10)
    rows = []
    phase.write_row = lambda row: rows.append((phase.iteration, set(row)))
    trainer = fit(phase, tmp_path, count=50, validate_every=4)
    assert phase.iteration == 10
    assert trainer.global_step == 20  # Lightning counts both optimizers: nothing may read it
    trained = [i for i, row in rows if "learning_rate" in row]
    validated = [i for i, row in rows if "val/psnr_rgb_b0" in row]
    assert trained == list(range(1, 11))
    assert validated == [4, 8, 10]  # the end is validated too


def test_validations_fall_on_the_clock_after_a_resume(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=12))
    phase.iteration = 5
    validated = []
    phase.write_row = lambda row: "val/loss" in row and validated.append(phase.iteration)
    fit(phase, tmp_path, count=7, validate_every=4)
    assert validated == [8, 12]


def test_one_nan_image_makes_the_validation_nan(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=1))
    found = torch.tensor([0.2, float("nan")])
    phase.metrics._metrics["mae"] = SimpleNamespace(needs=(), against=lambda hr: lambda sr: found)
    fit(phase, tmp_path, count=1)
    assert math.isnan(phase.validation["mae"])


def test_every_part_is_logged_raw_and_weighted(tmp_path):
    phase = adversarial_phase(iterations=1)
    rows = []
    phase.write_row = rows.append
    fit(phase, tmp_path, count=1)
    row = rows[0]
    for name in ("l1", "adversarial"):
        assert f"train/raw/{name}" in row
        assert f"train/weighted/{name}" in row
    assert math.isclose(
        row["train/loss"],
        row["train/weighted/l1"] + row["train/weighted/adversarial"],
        rel_tol=1e-5,
    )
    assert math.isclose(
        row["train/weighted/adversarial"], 0.1 * row["train/raw/adversarial"], rel_tol=1e-5
    )
    for name in ("discriminator", "logits/real", "logits/fake"):
        assert f"train/{name}" in row
    assert row["train/grad_clip_norm/generator"] > 0
    assert row["train/grad_clip_norm/discriminator"] > 0


def test_gradients_are_clipped_to_the_norm(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=1, grad_clip_norm=1e-3))
    before = copy.deepcopy(phase.generator.state_dict())
    fit(phase, tmp_path, count=1)
    squares = [(v - before[k]).square().sum() for k, v in phase.generator.state_dict().items()]
    step = float(torch.stack(squares).sum().sqrt())
    assert math.isclose(step, 0.1 * 1e-3, rel_tol=1e-3)  # SGD: learning rate * clipped norm


def test_cosine_ends_at_zero(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=8, schedule=Cosine()))
    rates = []
    phase.write_row = lambda row: "learning_rate" in row and rates.append(row["learning_rate"])
    fit(phase, tmp_path, count=8)
    expected = [0.05 * (1 + math.cos(math.pi * i / 8)) for i in range(1, 9)]
    assert rates == pytest.approx(expected, abs=1e-9)


def test_the_rate_is_halved_on_a_plateau_of_validations(tmp_path):
    phase = RestorationPhase(
        optimizer=lambda p: torch.optim.SGD(p, lr=0.0),  # no progress at all
        **shared(iterations=5, schedule=HalveOnPlateau(patience=2)),
    )
    trainer = fit(phase, tmp_path, count=5, validate_every=1)
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    assert scheduler.factor == 0.5
    assert scheduler.num_bad_epochs == 1  # 5 validations: first is best, 3 bad, halved, 1 bad
    assert scheduler.last_epoch == 5


def test_early_stopping_counts_validations(tmp_path):
    phase = RestorationPhase(
        optimizer=lambda p: torch.optim.SGD(p, lr=0.0), **shared(iterations=10)
    )
    stopping = EarlyStopping(patience=2)
    keeping = LPIPSCheckpoint(folder=str(tmp_path), metric="loss")
    fit(phase, tmp_path, count=10, validate_every=1, callbacks=[stopping, keeping])
    assert phase.iteration == 3  # the first validation is the best, two are not better


def test_dropout_is_a_function_of_the_iteration(tmp_path):
    from srlit.models.unet import UNet

    def final(start_noise):
        torch.manual_seed(0)
        network = UNet(
            scale=2, width=8, head_blocks=1, bottleneck_blocks=1, tail_blocks=1, dropout=0.5
        )
        torch.manual_seed(start_noise)  # whatever happened before must not matter
        phase = RestorationPhase(optimizer=sgd, **shared(iterations=2, generator=network))
        fit(phase, tmp_path, count=2)
        return network.state_dict()

    first, second = final(1), final(2)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_phases_refuse_the_wrong_loss_table():
    with pytest.raises(ValueError, match="no discriminator"):
        RestorationPhase(optimizer=sgd, **shared(adversarial=True))
    with pytest.raises(ValueError, match="needs a weight for 'adversarial'"):
        AdversarialPhase(
            discriminator=PatchGAN(width=4),
            criterion=LeastSquares(),
            generator_optimizer=sgd,
            discriminator_optimizer=sgd,
            **shared(),
        )


def test_no_backbone_is_in_a_phases_state(shared_weights):
    from srlit.losses.lpips_loss import LPIPSLoss

    terms = {"lpips": LPIPSLoss(net="alex", weights_dir=str(shared_weights))}
    loss = CompositeLoss(weights={"lpips": 1.0}, terms=terms)
    metrics = MetricSuite(names=["lpips_alex"], weights_dir=str(shared_weights))
    phase = RestorationPhase(optimizer=sgd, **shared(loss=loss, metrics=metrics))
    assert all(key.startswith("generator.") for key in phase.state_dict())
    assert set(phase.parameters()) == set(phase.generator.parameters())


def test_the_journal_gives_means_between_flushes():
    journal = RunningMeans(every=2)
    journal.record({"a": torch.tensor(1.0)})
    journal.record({"a": torch.tensor(3.0), "b": torch.tensor(5.0)})
    assert journal.flush() == {"a": 2.0, "b": 5.0}
    journal.record({"a": torch.tensor(7.0)})
    assert journal.flush() == {"a": 7.0}
    assert journal.flush() == {}


class Remembers(torch.nn.Module):
    """A loss term that keeps what it was shown."""

    def __init__(self, *names):
        super().__init__()
        self.needs = names
        self.shown = []

    def forward(self, sr, hr, **loss_inputs):
        self.shown.append((sr, hr, loss_inputs))
        return (sr - hr).abs().mean()


def remembering(*names):
    term = Remembers(*names)
    return term, CompositeLoss(weights={"it": 1.0}, terms={"it": term})


def test_a_term_that_needs_lr_gets_what_was_restored(tmp_path):
    term, loss = remembering("lr")
    phase = RestorationPhase(optimizer=sgd, **shared(loss=loss, iterations=1))
    fit(phase, tmp_path, count=1, validate_every=1)
    for _, hr, loss_inputs in term.shown:  # a training's batch and a validation's are the same here
        assert torch.equal(loss_inputs["lr"], batches(1)[0].lr)
        assert torch.equal(hr, batches(1)[0].hr)
    assert len(term.shown) >= 2


def test_a_term_that_needs_the_average_gets_what_it_restores(tmp_path):
    term, loss = remembering("ema_sr")
    phase = RestorationPhase(optimizer=sgd, **shared(loss=loss, iterations=1))
    average = copy.deepcopy(phase.generator).requires_grad_(requires_grad=False)
    for parameter in average.parameters():
        parameter.add_(0.1)
    phase.judge(average)
    fit(phase, tmp_path, count=1, validate_every=1)
    (sr, _, training), *validations = term.shown
    expected = average(batches(1)[0].lr)
    torch.testing.assert_close(training["ema_sr"], expected)
    assert not torch.allclose(sr, expected)
    assert not training["ema_sr"].requires_grad
    for judged, _, validation in validations:
        assert validation["ema_sr"] is judged


def test_without_an_average_the_restored_image_stands_for_it_and_nothing_is_restored_twice(
    tmp_path,
):
    term, loss = remembering("ema_sr")
    phase = RestorationPhase(optimizer=sgd, **shared(loss=loss, iterations=1))
    calls = []
    phase.generator.register_forward_hook(lambda *_: calls.append(phase.training))
    fit(phase, tmp_path, count=1, validate_every=1)
    sr, _, loss_inputs = term.shown[0]
    assert torch.equal(loss_inputs["ema_sr"], sr)
    assert not loss_inputs["ema_sr"].requires_grad
    assert calls[0]
    assert len(calls) == len(term.shown)


def test_no_average_restores_where_no_term_asks(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=1))
    average = copy.deepcopy(phase.generator)
    phase.judge(average)
    calls = []
    average.register_forward_hook(lambda *_: calls.append(1))
    phase.loss_inputs(phase.generate(batches(1)[0]))
    assert not calls

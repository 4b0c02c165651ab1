"""Diverged trainings: NaN at seven places, rollbacks, alarms."""

import csv
import json

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.trainer.connectors.accelerator_connector import _AcceleratorConnector
from torch.utils._pytree import tree_leaves

from srlit.callbacks.divergence import Alarm, DivergedError
from srlit.checkpoint import load_checkpoint
from srlit.phases.adversarial import AdversarialPhase
from srlit.phases.base import Phase
from srlit.train import train
from tests.helpers import compose_config
from tests.integration.survival import ADVERSARIAL

NAN = float("nan")
NETWORKS = ("generator", "discriminator")


def spoil_loss(phase, network):
    name = f"{network}_loss"
    original = getattr(phase, name)
    setattr(phase, name, lambda *arguments: original(*arguments) * NAN)
    return lambda: delattr(phase, name)


def spoil_gradient(phase, network):
    *_, last = getattr(phase, network).parameters()
    return last.register_hook(lambda gradient: gradient * NAN).remove


def spoil_weight(phase, network):
    with torch.no_grad():
        next(getattr(phase, network).parameters()).fill_(NAN)
    return lambda: None


def spoil_moment(phase, network):
    optimizer = phase.trainer.optimizers[NETWORKS.index(network)]
    next(iter(optimizer.state.values()))["exp_avg"].fill_(NAN)
    return lambda: None


# What is spoilt in which network, and whether it stays so after the update.
PLACES = {
    "generator's loss": (spoil_loss, "generator", False),
    "discriminator's loss": (spoil_loss, "discriminator", False),
    "generator's gradient": (spoil_gradient, "generator", False),
    "discriminator's gradient": (spoil_gradient, "discriminator", False),
    "generator's weight": (spoil_weight, "generator", True),
    "discriminator's weight": (spoil_weight, "discriminator", True),
    "generator's moments": (spoil_moment, "generator", True),
}


def spoiled(monkeypatch, spoil, network, iterations):
    """Spoil something in these iterations."""
    original = AdversarialPhase.training_step

    def step(self, batch, batch_idx):
        repair = spoil(self, network) if self.iteration in iterations else lambda: None
        original(self, batch, batch_idx)
        repair()

    monkeypatch.setattr(AdversarialPhase, "training_step", step)


def run(tmp_path, *overrides):
    limits = ("callbacks.divergence.patience=2", "callbacks.divergence.rollbacks=1")
    paths = (f"paths.runs={tmp_path}", f"paths.cache={tmp_path}/cache", "name=a")
    train(compose_config("train", *ADVERSARIAL, *limits, *overrides, *paths))


def rows_of(tmp_path):
    return list(csv.DictReader((tmp_path / "a" / "metrics.csv").open()))


def last_of(tmp_path):
    return load_checkpoint(tmp_path / "a" / "checkpoints" / "iteration_0000008.safetensors")


def finite(node):
    tensors = [leaf for leaf in tree_leaves(node) if isinstance(leaf, torch.Tensor)]
    return all(tensor.isfinite().all() for tensor in tensors)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "networks", [(), ("discriminator=vgg_small",)], ids=["spectral norm", "batch norm"]
)
def test_nan_at_seven_places_reaches_no_checkpoint(tmp_path, monkeypatch, caplog, place, networks):
    spoil, network, stays = PLACES[place]
    spoiled(monkeypatch, spoil, network, {4})
    run(tmp_path, *networks)
    last = last_of(tmp_path)
    assert finite(last)
    rows = rows_of(tmp_path)
    assert any(row.get(f"skipped/{network}") for row in rows)
    assert "not finite in iteration" in caplog.text
    assert "Photos of" in caplog.text
    # Weights and moments are restored from the checkpoint of iteration 3, at half the rates.
    assert any(row.get("rollback") for row in rows) == stays
    assert (last["callbacks"]["DivergenceGuard"]["rolled_back"] == 1) == stays


def test_a_nan_batch_costs_one_iteration_of_a_batch_norm_discriminator(tmp_path, monkeypatch):
    original = AdversarialPhase.generate

    def generate(self, batch):
        restored = original(self, batch)
        return restored._replace(sr=restored.sr * (NAN if self.iteration == 4 else 1))

    monkeypatch.setattr(AdversarialPhase, "generate", generate)
    run(tmp_path, "discriminator=vgg_small")
    last = last_of(tmp_path)
    assert finite(last)
    assert last["callbacks"]["DivergenceGuard"]["rolled_back"] == 0
    for network in NETWORKS:
        skipped = [row[f"skipped/{network}"] for row in rows_of(tmp_path)]
        assert [float(value) for value in skipped if value] == [1.0]


def test_no_checkpoint_with_a_discriminator_of_nan_is_rolled_back_to(tmp_path, monkeypatch):
    """The validation at iteration 6 measures the generator only, and is finite."""
    spoiled(monkeypatch, spoil_weight, "discriminator", {5})
    run(tmp_path, "callbacks.divergence.patience=3")
    last = last_of(tmp_path)
    assert last["callbacks"]["DivergenceGuard"]["rolled_back"] == 1
    assert finite(last["state_dict"])
    rows = last["callbacks"]["LPIPSCheckpoint"]["rows"]
    assert [(row["iteration"], row["finite"]) for row in rows] == [(3, True), (6, False), (8, True)]


@pytest.fixture
def fp16(monkeypatch):
    """Loss scaling, which Lightning refuses on processors, with a scale that they can hold."""
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**8))
    monkeypatch.setattr(_AcceleratorConnector, "_check_and_init_precision", lambda _: plugin)
    return plugin


def test_a_rollback_restores_the_loss_scale(tmp_path, monkeypatch, fp16):
    spoiled(monkeypatch, spoil_weight, "generator", {4})
    run(tmp_path)
    last = last_of(tmp_path)
    assert last["callbacks"]["DivergenceGuard"]["rolled_back"] == 1
    assert finite(last["state_dict"])
    assert last["MixedPrecision"]["scale"] == fp16.scaler.get_scale() == 2.0**8


def test_under_fp16_a_gradient_that_is_never_finite_is_reported(tmp_path, monkeypatch, fp16):
    """Each update halves the scale; below 1 the scale is not the cause."""
    fp16.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    spoiled(monkeypatch, spoil_gradient, "discriminator", set(range(100)))
    with pytest.raises(DivergedError, match="discriminator"):
        run(tmp_path)


def test_an_fp16_overflow_halves_the_scale_and_is_not_reported(tmp_path, monkeypatch, fp16, caplog):
    spoiled(monkeypatch, spoil_gradient, "generator", {4, 5})
    run(tmp_path)
    assert last_of(tmp_path)["MixedPrecision"]["scale"] == 2.0**6
    assert "not finite" not in caplog.text


@pytest.mark.parametrize(
    ("network", "begin", "match"),
    [
        ("generator", 4, r"generator .* for 2 .*1 rollbacks.*grad_clip_norm"),
        ("discriminator", 0, "iteration 2 .no checkpoint yet."),
    ],
)
def test_a_training_that_stays_diverged_ends(tmp_path, monkeypatch, network, begin, match):
    spoiled(monkeypatch, spoil_loss, network, set(range(begin, 100)))
    with pytest.raises(DivergedError, match=match):
        run(tmp_path)


def rates_of(tmp_path):
    rates = [row["learning_rate"] for row in rows_of(tmp_path)]
    return [float(rate) for rate in rates if rate]


def test_a_rollback_lowers_every_learning_rate(tmp_path, monkeypatch):
    whole, lowered = tmp_path / "healthy", tmp_path / "diverged"
    run(whole)
    spoiled(monkeypatch, spoil_weight, "generator", {4})
    run(lowered, "callbacks.divergence.lr_factor=0.25", "callbacks.divergence.patience=1")
    schedules = zip(last_of(whole)["lr_schedulers"], last_of(lowered)["lr_schedulers"], strict=True)
    for one, other in schedules:
        assert [rate / 4 for rate in one["base_lrs"]] == pytest.approx(other["base_lrs"])
    pairs = list(zip(rates_of(whole), rates_of(lowered), strict=True))[:-1]
    assert [found / expected for expected, found in pairs] == pytest.approx([1, 1, 0.25])


# -- alarms ---------------------------------------------------------------------------------------


COLLAPSED = (0.02, torch.full((3, 1, 1), 0.5))
DRIFTING = (1, torch.tensor([0.3, 0.0, -0.3])[:, None, None])


@pytest.mark.parametrize(
    ("factor", "offset", "alarm", "statistic"),
    [(*COLLAPSED, "collapse", "contrast"), (*DRIFTING, "colour", "colour_error")],
)
def test_alarms_of_the_image_statistics(
    tmp_path, monkeypatch, caplog, factor, offset, alarm, statistic
):
    monkeypatch.setattr(Phase, "forward", lambda phase, lr: factor * phase.generator(lr) + offset)
    run(tmp_path, "callbacks.divergence.intervals=2")
    assert f"alarm/{alarm}" in rows_of(tmp_path)[0]
    assert statistic in caplog.text


def test_the_alarm_of_a_saturated_discriminator(tmp_path, monkeypatch, caplog):
    """One that is never wrong."""
    original = AdversarialPhase.logits

    def certain(self, image):
        logits = original(self, image)
        if len(image) != 4:
            return logits  # the generator's update
        target = torch.tensor([0.9, 0.9, 0.0, 0.0]).view(4, 1, 1, 1)  # real ones first
        return target + 0.001 * logits

    monkeypatch.setattr(AdversarialPhase, "logits", certain)
    run(tmp_path, "callbacks.divergence.intervals=2")
    assert "alarm/saturation" in rows_of(tmp_path)[0]
    assert "d_loss_vs_chance" in caplog.text


def test_a_healthy_training_raises_no_alarm(tmp_path, caplog):
    run(tmp_path, "callbacks.divergence.intervals=1")
    assert not any(name.startswith(("alarm", "skipped")) for name in rows_of(tmp_path)[0])
    assert "not finite" not in caplog.text


def test_limits_of_an_alarm():
    alarm = Alarm(key="contrast", low=0.3, message="flat")
    assert [alarm.is_raised({"contrast": v}) for v in (0.1, 0.3, 0.5, NAN)] == [True] + [False] * 3
    assert not alarm.is_raised({})
    assert Alarm(key="x", high=1, message="").is_raised({"x": 2})
    with pytest.raises(ValueError, match=r"callbacks\.divergence\.alarms.*'x'"):
        Alarm(key="x", message="")


# -- what nobody must miss ------------------------------------------------------------------------


def test_skipped_updates_raise_an_alarm_and_are_summed_up(tmp_path, monkeypatch, caplog):
    spoiled(monkeypatch, spoil_loss, "generator", {1, 3, 5, 7})
    run(tmp_path, "callbacks.divergence.intervals=2")
    assert "(skipped/generator = 0.5)" in caplog.text
    assert "4 of 8 updates of the generator were skipped" in caplog.text
    assert any(row["alarm/generator"] for row in rows_of(tmp_path))


def test_the_term_that_is_not_finite_is_named(tmp_path, monkeypatch, caplog):
    def spoil_term(phase, _):
        hook = phase.loss.terms["l1"].register_forward_hook(lambda *found: found[-1] * NAN)
        return hook.remove

    spoiled(monkeypatch, spoil_term, "generator", {2})
    run(tmp_path)
    [line] = [text for text in caplog.messages if "iteration 2: not updated" in text]
    named = line.split("first: ")[1].split(". Photos")[0].split(", ")
    assert {"raw/l1", "weighted/l1", "loss", "grad_norm/generator"} == set(named)


def test_validations_without_numbers_warn_never_rank_and_fail_the_run(
    tmp_path, monkeypatch, caplog
):
    original = Phase.validation_step

    def step(self, batch, batch_idx):
        original(self, batch, batch_idx)
        for mean in self._val_means.values():
            mean.mean_value.fill_(NAN if self.iteration in bad else 0.5)
            mean.weight.fill_(1.0)

    monkeypatch.setattr(Phase, "validation_step", step)
    bad = {3}
    run(tmp_path / "one")
    assert "iteration 3: psnr_rgb_b0 and loss not finite" in caplog.text
    best = json.loads((tmp_path / "one" / "a" / "best.json").read_text())
    assert [row["iteration"] for row in best["history"]] == [3, 6, 8]
    assert 3 not in {row["iteration"] for row in best["kept"]}
    bad = {3, 6, 8}
    with pytest.raises(DivergedError, match="no validation"):
        run(tmp_path / "all")
    assert not (tmp_path / "all" / "a" / "best.json").exists()
    assert json.loads((tmp_path / "all" / "a" / "run.json").read_text())["status"] == "failed"

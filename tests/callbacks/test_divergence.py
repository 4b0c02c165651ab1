"""Trainings that fall ill: NaN at many places, and the signs that only people can judge."""

import csv

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.trainer.connectors.accelerator_connector import _AcceleratorConnector

from srlit.callbacks import Alarm, DivergenceGuard
from srlit.callbacks.divergence import DivergedError
from srlit.checkpoint import load_checkpoint
from srlit.phases import AdversarialPhase, Phase
from srlit.train import train
from tests.helpers import compose_config
from tests.integration.survival import ADVERSARIAL, flattened

NAN = float("nan")


def spoil_loss(phase, network):
    original = phase.descend

    def once(losses, optimizer):
        spoils = phase._name_of(optimizer.optimizer) == network
        original((loss * NAN if spoils else loss for loss in losses), optimizer)

    phase.descend = once
    return lambda: delattr(phase, "descend")


def spoil_gradient(phase, network):
    original = phase.on_before_optimizer_step

    def once(optimizer):
        if phase._name_of(optimizer) == network:
            optimizer.param_groups[0]["params"][-1].grad.fill_(NAN)
        original(optimizer)

    phase.on_before_optimizer_step = once
    return lambda: delattr(phase, "on_before_optimizer_step")


def spoil_weight(phase, network):
    with torch.no_grad():
        next(getattr(phase, network).parameters()).fill_(NAN)
    return lambda: None


def spoil_moment(phase, network):
    optimizer = phase.trainer.optimizers[list(phase.make_optimizers()).index(network)]
    next(iter(optimizer.state.values()))["exp_avg"].fill_(NAN)
    return lambda: None


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
    """Have something spoilt in these iterations."""
    original = AdversarialPhase.training_step

    def step(self, batch, batch_idx):
        heal = spoil(self, network) if self.iteration in iterations else lambda: None
        original(self, batch, batch_idx)
        heal()

    monkeypatch.setattr(AdversarialPhase, "training_step", step)


def run(tmp_path, *overrides):
    train(
        compose_config(
            "train",
            *ADVERSARIAL,
            "callbacks.divergence.patience=2",
            "callbacks.divergence.rollbacks=1",
            *overrides,
            f"paths.runs={tmp_path}",
            f"paths.cache={tmp_path}/cache",
            "name=a",
        )
    )


def rows_of(tmp_path):
    return list(csv.DictReader((tmp_path / "a" / "metrics.csv").open()))


def last_of(tmp_path):
    return load_checkpoint(tmp_path / "a" / "checkpoints" / "iteration_0000008.ckpt")


def finite(node):
    if isinstance(node, torch.Tensor):
        return bool(node.isfinite().all())
    if isinstance(node, dict):
        return all(finite(value) for value in node.values())
    if isinstance(node, (list, tuple)):
        return all(finite(value) for value in node)
    return True


@pytest.mark.parametrize("place", PLACES)
def test_nan_at_seven_places_reaches_no_checkpoint(tmp_path, monkeypatch, caplog, place):
    spoil, network, lasts = PLACES[place]
    spoiled(monkeypatch, spoil, network, {4})
    run(tmp_path)
    last = last_of(tmp_path)
    for part in ("state_dict", "optimizer_states", "callbacks"):
        assert finite(last[part]), part
    rows = rows_of(tmp_path)
    assert any(row.get(f"skipped/{network}") for row in rows)
    assert "not finite in iteration" in caplog.text
    assert "astronaut" in caplog.text or "Photos of" in caplog.text
    # What lasts is undone from the checkpoint of iteration 3, at half the learning rate.
    assert any(row.get("rollback") for row in rows) == lasts
    assert (last["callbacks"]["DivergenceGuard"]["returned"] == 1) == lasts


def state_of(phase, optimizer):
    weights = {name: weight.detach() for name, weight in phase.named_parameters()}
    return flattened({"weights": weights, "moments": optimizer.optimizer.state_dict()})


@pytest.mark.parametrize("fused", [True, False], ids=["on the device", "on the host"])
def test_a_skipped_update_changes_no_weight_and_no_moment(tmp_path, monkeypatch, fused):
    kept = {}
    original = Phase.descend

    def watch(self, losses, optimizer):
        network = self._name_of(optimizer.optimizer)
        # Buffers are left out: spectral normalisation moves its vectors at each forward pass.
        before = state_of(self, optimizer)
        factor = NAN if self.iteration == 4 else 1
        original(self, (factor * loss for loss in losses), optimizer)
        kept[self.iteration, network] = before == state_of(self, optimizer)

    monkeypatch.setattr(Phase, "descend", watch)
    names = ("generator_optimizer", "discriminator_optimizer")
    run(tmp_path, *(f"phase.{name}.fused={str(fused).lower()}" for name in names))
    assert [key for key, same in kept.items() if same] == [(4, "discriminator"), (4, "generator")]


def test_a_checkpoint_whose_discriminator_is_ill_is_not_returned_to(tmp_path, monkeypatch):
    """The validation at iteration 6 looks at the generator only, and is finite."""
    spoiled(monkeypatch, spoil_weight, "discriminator", {5})
    run(tmp_path, "callbacks.divergence.patience=3")
    last = last_of(tmp_path)
    assert last["callbacks"]["DivergenceGuard"]["returned"] == 1
    assert finite(last["state_dict"])
    rows = last["callbacks"]["LPIPSCheckpoint"]["rows"]
    assert [(row["iteration"], row["finite"]) for row in rows] == [(3, True), (6, False), (8, True)]


@pytest.fixture
def fp16(monkeypatch):
    """Loss scaling, which Lightning refuses on processors, with a scale that they can hold."""
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**8))
    monkeypatch.setattr(
        _AcceleratorConnector, "_check_and_init_precision", lambda connector: plugin
    )
    return plugin


def test_a_return_brings_the_loss_scale_back(tmp_path, monkeypatch, fp16):
    spoiled(monkeypatch, spoil_weight, "generator", {4})
    run(tmp_path)
    last = last_of(tmp_path)
    assert last["callbacks"]["DivergenceGuard"]["returned"] == 1
    assert finite(last["state_dict"])
    assert last["MixedPrecision"]["scale"] == fp16.scaler.get_scale() == 2.0**8


def test_under_fp16_a_gradient_that_stays_ill_is_noticed(tmp_path, monkeypatch, fp16):
    """Each update halves the scale; from 1 on it is not the scale's fault."""
    fp16.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    spoiled(monkeypatch, spoil_gradient, "discriminator", set(range(100)))
    with pytest.raises(DivergedError, match="the discriminator had no finite gradient"):
        run(tmp_path)


def test_under_fp16_an_overflow_is_the_scalers_business(tmp_path, monkeypatch, fp16, caplog):
    spoiled(monkeypatch, spoil_gradient, "generator", {4, 5})
    run(tmp_path)
    assert last_of(tmp_path)["MixedPrecision"]["scale"] == 2.0**6
    assert "not finite" not in caplog.text


def test_a_training_that_stays_ill_ends_and_says_what_to_do(tmp_path, monkeypatch):
    spoiled(monkeypatch, spoil_loss, "generator", set(range(4, 100)))
    with pytest.raises(DivergedError, match="the generator had no finite gradient for 2 iter") as e:
        run(tmp_path)
    assert "1 returns to a checkpoint" in str(e.value)
    assert "Lower the learning rate" in str(e.value)


def test_before_the_first_validation_there_is_nothing_to_return_to(tmp_path, monkeypatch):
    spoiled(monkeypatch, spoil_loss, "discriminator", set(range(100)))
    with pytest.raises(DivergedError, match="before iteration 2 .no checkpoint yet."):
        run(tmp_path)


def test_a_return_lowers_every_learning_rate_for_good(tmp_path, monkeypatch):
    run(tmp_path / "healthy")
    spoiled(monkeypatch, spoil_weight, "generator", {4})
    run(tmp_path / "ill", "callbacks.divergence.lr_factor=0.25", "callbacks.divergence.patience=1")
    healthy, ill = last_of(tmp_path / "healthy"), last_of(tmp_path / "ill")
    for one, other in zip(healthy["lr_schedulers"], ill["lr_schedulers"], strict=True):
        assert [rate / 4 for rate in one["base_lrs"]] == pytest.approx(other["base_lrs"])
    rates = [float(r["learning_rate"]) for r in rows_of(tmp_path / "ill") if r["learning_rate"]]
    expected = [
        float(r["learning_rate"]) for r in rows_of(tmp_path / "healthy") if r["learning_rate"]
    ]
    assert [b / a for a, b in zip(expected[:-1], rates[:-1], strict=True)] == pytest.approx(
        [1, 1, 0.25]
    )


# -- alarms ---------------------------------------------------------------------------------------


def flat(self, lr):
    """A generator that has collapsed."""
    sr = self.generator(lr)
    return 0.02 * sr + 0.5


def red(self, lr):
    """A generator whose colours drift."""
    return self.generator(lr) + torch.tensor([0.3, 0.0, -0.3])[:, None, None]


@pytest.mark.parametrize(("sickness", "alarm"), [(flat, "collapse"), (red, "colour")])
def test_each_alarm_rings_when_it_should(tmp_path, monkeypatch, caplog, sickness, alarm):
    monkeypatch.setattr(Phase, "forward", sickness)
    run(tmp_path, "callbacks.divergence.intervals=2")
    assert f"alarm/{alarm}" in rows_of(tmp_path)[0]
    assert {"collapse": "nearly flat", "colour": "colours drift"}[alarm] in caplog.text


def test_a_saturated_discriminator_rings(tmp_path, monkeypatch, caplog):
    """It tells real from restored without ever being wrong."""
    original = AdversarialPhase.logits

    def sure(self, image):
        logits = original(self, image)
        if len(image) == 4:  # the discriminator's update: real ones first
            target = torch.tensor([0.9, 0.9, 0.0, 0.0]).view(4, 1, 1, 1)
            return target + 0.001 * logits
        return logits

    monkeypatch.setattr(AdversarialPhase, "logits", sure)
    run(tmp_path, "callbacks.divergence.intervals=2")
    assert "alarm/saturation" in rows_of(tmp_path)[0]
    assert "always wins" in caplog.text


def test_a_healthy_run_hears_nothing(tmp_path, caplog):
    """The demo, in the slow tests, is a longer one."""
    run(tmp_path, "callbacks.divergence.intervals=1")
    assert not any(name.startswith(("alarm", "skipped")) for name in rows_of(tmp_path)[0])
    assert "not finite" not in caplog.text


def test_an_alarm_warns_once_until_it_was_silent():
    alarm = Alarm(key="contrast", low=0.3, says="flat")
    assert [alarm.rings({"contrast": v}) for v in (0.1, 0.3, 0.5)] == [True, False, False]
    assert not alarm.rings({})
    assert not alarm.rings({"contrast": NAN})
    assert Alarm(key="x", high=1, says="").rings({"x": 2})
    with pytest.raises(ValueError, match="has no limit"):
        Alarm(key="x", says="")


@pytest.mark.parametrize(
    "wrong", [{"patience": 0}, {"rollbacks": -1}, {"lr_factor": 0}, {"intervals": 0}]
)
def test_numbers_out_of_range_name_the_key(wrong):
    with pytest.raises(ValueError, match=f"callbacks.divergence.{next(iter(wrong))}="):
        DivergenceGuard(**wrong)

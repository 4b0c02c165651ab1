import copy

import torch

from srlit.callbacks.ema import EMA
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from tests.phases.tiny_phases import adversarial, at_each_end, fit, restoration


def train_with(ema, phase, folder):
    fit(phase, folder, callbacks=[ema, LPIPSCheckpoint(folder=str(folder), metric="loss")])


def test_the_average_follows_its_formula(tmp_path):
    phase = restoration(iterations=5)
    weight = phase.generator.stem.weight
    expected = weight.detach().clone()
    history = at_each_end(phase, lambda: weight.detach().clone())
    train_with(EMA(decay=0.3), phase, tmp_path)
    for i, new in enumerate(history, start=1):
        decay = min(0.3, (1 + i) / (10 + i))
        expected = decay * expected + (1 - decay) * new
    torch.testing.assert_close(phase.ema.stem.weight, expected)
    assert not torch.equal(phase.ema.stem.weight, weight)


def test_only_the_generator_is_averaged_and_the_average_is_validated(tmp_path):
    phase = adversarial(iterations=2)
    ema = EMA(decay=0.9)
    train_with(ema, phase, tmp_path)
    assert ema.state_dict()["averaged"].keys() == phase.generator.state_dict().keys()
    assert phase.ema is not phase.generator
    assert not any(name.startswith("ema") for name in phase.state_dict())
    lr = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(phase.restore(lr), phase.ema.eval()(lr))


def test_it_starts_from_the_generator_at_the_start_of_the_training(tmp_path):
    """Which is a checkpoint's, where one without an EMA is resumed."""
    phase = restoration(iterations=1, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    ema = EMA(decay=0.9)
    ema.setup(None, phase, "fit")
    with torch.no_grad():
        phase.generator.stem.weight.add_(1)
    expected = copy.deepcopy(phase.generator.state_dict())
    train_with(ema, phase, tmp_path)
    torch.testing.assert_close(phase.ema.state_dict(), expected, rtol=0, atol=1e-6)

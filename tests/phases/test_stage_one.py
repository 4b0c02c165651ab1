"""The auxiliary loss on what stage 1 of a generator restores."""

import pytest
import torch
from torch.nn import L1Loss

from srlit.losses.composite import CompositeLoss
from srlit.losses.criteria import LeastSquares
from srlit.losses.stage1 import Stage1
from srlit.models.edsr import EDSR
from srlit.models.patchgan import PatchGAN
from srlit.models.two_stage import TwoStage
from srlit.ops.resize import shrink
from srlit.phases import AdversarialPhase, RestorationPhase
from srlit.types import Batch
from tests.phases.test_phases import batches, fit, sgd, shared


def two_stage(**changes):
    torch.manual_seed(0)
    return TwoStage(scale=2, num_feat=8, num_block=1, num_grow_ch=4, **changes)


def table(weights):
    terms = {"l1": L1Loss(), "stage1": Stage1()}
    return CompositeLoss(weights=weights, terms={k: v for k, v in terms.items() if k in weights})


def phase_with(weights, **changes):
    loss = table(weights)
    return RestorationPhase(
        optimizer=sgd, **shared(**{"generator": two_stage(), "loss": loss} | changes)
    )


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_stage_1_is_compared_with_the_target_at_its_size(scale):
    generator = TwoStage(scale=scale, num_feat=8, num_block=1, num_grow_ch=4)
    phase = phase_with({"l1": 1.0, "stage1": 0.5}, generator=generator)
    hr = torch.rand(2, 3, 12 * scale, 15 * scale)
    batch = Batch(torch.rand(2, 3, 12, 15), hr)
    restored = phase.generate(batch)
    torch.testing.assert_close(restored.sr, phase(batch.lr))
    small = shrink(hr, (12, 15))
    expected = (generator.restore(batch.lr)[1] - small).abs().mean()

    def cost(restored):
        return phase.loss(restored.sr, hr, loss_inputs=phase.loss_inputs(restored)).raw["stage1"]

    torch.testing.assert_close(cost(restored), expected.detach())
    # A perfect stage 1 costs nothing.
    assert float(cost(restored._replace(stage1=small))) == 0


def test_it_is_logged_and_trains_stage_1_alone(tmp_path):
    phase = phase_with({"l1": 1.0, "stage1": 0.5}, generator=two_stage(frozen=[2]))
    rows = []
    phase.write_row = lambda row: "train/loss" in row and rows.append(row)
    before = [p.detach().clone() for p in phase.generator.parameters()]
    fit(phase, tmp_path, count=2)
    assert rows[0]["train/weighted/stage1"] == pytest.approx(0.5 * rows[0]["train/raw/stage1"])
    moved = {
        name.split(".")[0]
        for (name, now), old in zip(phase.generator.named_parameters(), before, strict=True)
        if not torch.equal(now, old)
    }
    assert moved == {"restore"}


def test_without_a_weight_nothing_is_computed():
    for weights in ({"l1": 1.0}, {"l1": 1.0, "stage1": 0.0}):
        phase = phase_with(weights)
        restored = phase.generate(batches(1)[0])
        assert restored.stage1 is None
        assert phase.loss_inputs(restored).keys() == {"lr"}


def test_the_adversarial_phase_takes_it_too(tmp_path):
    weights = {"l1": 1.0, "adversarial": 0.1, "stage1": 0.2}
    phase = AdversarialPhase(
        discriminator=PatchGAN(width=4, layers=1),
        criterion=LeastSquares(),
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        **shared(
            generator=two_stage(),
            loss=table(weights),
            micro_batches=2,
        ),
    )
    rows = []
    phase.write_row = lambda row: "train/loss" in row and rows.append(row)
    fit(phase, tmp_path, count=1)
    total = sum(rows[0][f"train/weighted/{name}"] for name in weights)
    assert rows[0]["train/loss"] == pytest.approx(total)


def test_a_generator_without_stages_is_named():
    with pytest.raises(ValueError, match="loss.terms has one of stage 1, but model has no stages"):
        phase_with({"l1": 1.0, "stage1": 0.5}, generator=EDSR(scale=2, width=8, blocks=1))

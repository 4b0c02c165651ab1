from itertools import product

import pytest
import torch

from srlit.models.two_stage import TwoStage
from srlit.ops.resize import bilinear


def small(scale, **more):
    torch.manual_seed(0)
    return TwoStage(scale=scale, num_feat=8, num_block=1, num_grow_ch=4, **more)


def phases(image, scale):
    """The pixels at each place within squares of s x s, (s^2, 3, h, w)."""
    places = product(range(scale), repeat=2)
    return torch.stack([image[0, :, i::scale, j::scale] for i, j in places])


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_at_the_start_an_impulse_leaves_no_pattern(scale):
    """Of what stage 2 makes of it, each place within the squares gets the same share."""
    enlarge = small(scale).enlarge
    quiet = torch.rand(1, 8, 13, 13)
    impulse = quiet.clone()
    impulse[..., 6, 6] += 5
    response = enlarge(impulse) - enlarge(quiet)
    shares = phases(response, scale).sum((2, 3))
    assert shares.abs().max() > 0.05
    torch.testing.assert_close(shares, shares[:1].expand_as(shares), rtol=1e-4, atol=1e-5)
    # And without the initialisation there is one.
    for step in enlarge.steps:
        step.conv.reset_parameters()
    shares = phases(enlarge(impulse) - enlarge(quiet), scale).sum((2, 3))
    assert (shares - shares[:1]).abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_at_the_start_a_flat_image_stays_flat(scale):
    sr = small(scale)(torch.full((1, 3, 40, 40), 0.4))
    inner = sr[..., 18 * scale : 22 * scale, 18 * scale : 22 * scale]
    assert float((inner - inner[..., :1, :1]).abs().max()) < 1e-6


@torch.no_grad()
def test_stage_2_enlarges_what_stage_1_restored():
    network = small(2)
    lr = torch.rand(1, 3, 6, 7)
    restored, sr = network.forward_stages(lr)
    features, image = network.restore(lr)
    assert torch.equal(image, restored)
    assert torch.equal(sr, network(lr))
    torch.testing.assert_close(sr, network.enlarge(features) + bilinear(restored, 2))
    first = network.first_stage()
    assert first.scale == 1
    assert torch.equal(first(lr), restored)
    # Training starts near plain interpolation.
    assert float((sr - bilinear(lr, 2)).abs().mean()) < 0.05


@pytest.mark.parametrize("frozen", [1, 2])
def test_a_frozen_stage_keeps_its_weights(frozen):
    network = small(2, frozen=[frozen])
    stages = {1: network.restore, 2: network.enlarge}
    before = {n: [p.detach().clone() for p in s.parameters()] for n, s in stages.items()}
    optimizer = torch.optim.Adam(network.parameters(), weight_decay=0.1)
    network(torch.rand(1, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    for number, stage in stages.items():
        same = [torch.equal(a, b) for a, b in zip(before[number], stage.parameters(), strict=True)]
        assert all(same) if number == frozen else not any(same)


def test_freezing_both_stages_is_an_error():
    with pytest.raises(ValueError, match=r"model\.frozen=\[1, 2\]"):
        small(2, frozen=[1, 2])

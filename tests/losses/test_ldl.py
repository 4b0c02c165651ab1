"""LDL against its definition, pixel by pixel in NumPy."""

import numpy as np
import pytest
import torch

from srlit.losses.ldl import LDL, artifact_map


@pytest.fixture
def images():
    """sr, hr and the average's; the average is nearer to hr in about half of the pixels."""
    torch.manual_seed(0)
    return torch.rand(2, 3, 11, 9), torch.rand(2, 3, 11, 9), torch.rand(2, 3, 11, 9)


def by_definition(sr, hr, ema_sr, window):
    own, other = (np.abs(hr - image).sum(0) for image in (sr, ema_sr))
    spread = own.var(ddof=1) ** (1 / 5)
    reach = window // 2
    padded = np.pad(own, reach, mode="reflect")
    found = np.zeros_like(own)
    for i, j in np.ndindex(own.shape):
        if own[i, j] >= other[i, j]:
            found[i, j] = spread * padded[i : i + window, j : j + window].var(ddof=1)
    return found


@pytest.mark.parametrize("window", [3, 7])
def test_the_map_and_the_loss_by_definition(images, window):
    each = zip(*(image.double().numpy() for image in images), strict=True)
    maps = [by_definition(*image, window) for image in each]
    sr, hr, ema_sr = images
    found = artifact_map(sr, hr, ema_sr, window)
    np.testing.assert_allclose(found[:, 0].numpy(), maps, rtol=1e-4, atol=1e-7)
    assert 0.2 < float((found == 0).float().mean()) < 0.8
    expected = np.mean([m * np.abs((sr - hr)[i].numpy()) for i, m in enumerate(maps)])
    assert float(LDL(window=window)(sr, hr, ema_sr)) == pytest.approx(expected, rel=1e-4)


def test_what_is_nearer_than_the_average_is_left_alone(images):
    _, hr, _ = images
    sr = (hr + 0.1 * torch.rand(hr.shape)).requires_grad_()
    loss = LDL()(sr, hr, hr + 0.5)
    loss.backward()
    assert loss == 0
    assert sr.grad.abs().sum() == 0


def test_an_isolated_artefact_weighs_more_than_the_same_error_spread_out():
    hr = torch.full((1, 3, 33, 33), 0.5)
    spread = hr + 0.01
    spot = hr.clone()
    spot[..., 16, 16] += 0.01 * 33 * 33 / 25
    term = LDL()
    assert term(spread, hr, spread) < 1e-9
    assert term(spot, hr, spot) > 1e-6


def test_the_map_has_no_gradient(images):
    sr, hr, ema_sr = images
    sr = sr.clone().requires_grad_()
    LDL()(sr, hr, ema_sr).backward()
    expected = artifact_map(sr, hr, ema_sr, 7) * (sr - hr).sign() / sr.numel()
    torch.testing.assert_close(sr.grad, expected.detach())

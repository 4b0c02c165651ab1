"""Upscalers: interpolators and networks in tiles."""

import pytest
import torch

from srlit.inference.upscalers import NetworkUpscaler, pick_device
from srlit.models.edsr import EDSR

CPU = torch.device("cpu")


def test_tiles_of_a_convolutional_network_equal_the_whole_image(photo):
    """EDSR's receptive field of 8 pixels is well within half an overlap of 32."""
    torch.manual_seed(0)
    network = EDSR(scale=2, width=8, blocks=2)
    for parameter in network.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    lr = photo[..., :150, :201].float() / 255
    whole = NetworkUpscaler("whole", network, device=CPU)
    tiled = NetworkUpscaler("tiled", network, device=CPU, tile=64, overlap=32)
    difference = (tiled(lr) - whole(lr)).abs()
    assert difference.shape == (1, 3, 300, 402)
    assert difference.max() < 0.02
    assert difference.mean() < 1e-4
    assert torch.equal(whole.tiled(64)(lr), tiled(lr))


def test_what_is_not_finite_is_an_error_and_no_black_image():
    network = EDSR(scale=2, width=8, blocks=1)
    next(network.parameters()).data.fill_(float("nan"))
    with pytest.raises(ValueError, match="spoilt: .* not finite"):
        NetworkUpscaler("spoilt", network, device=CPU)(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("here", "name", "picked"),
    [
        (None, "auto", "cpu"),
        ("cuda", "auto", "cuda"),
        ("mps", "auto", "mps"),
        ("xpu", "auto", "xpu"),
        ("mtia", "auto", "cpu"),
        ("cuda", "cuda:1", "cuda:1"),
        ("xpu", "cpu", "cpu"),
        (None, "cuda", None),
        ("mps", "cuda", None),
        ("cuda", "cuda:2", None),
    ],
)
def test_a_device_is_picked_of_those_that_there_are(monkeypatch, here, name, picked):
    device = here and torch.device(here)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: device)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2 if here else 0)
    if picked:
        assert pick_device(name) == torch.device(picked)
    else:
        with pytest.raises(ValueError, match=f"device={name}"):
            pick_device(name)

"""Upscalers: interpolators and networks in tiles."""

import torch

from srlit.inference.upscalers import NetworkUpscaler
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

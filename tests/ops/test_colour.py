import torch

from srlit.ops.colour import rgb_to_y


def test_known_colours_have_matlabs_luma():
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    luma = rgb_to_y(colours.view(5, 3, 1, 1)).flatten() * 255
    torch.testing.assert_close(luma, torch.tensor([16.0, 235.0, 81.481, 144.553, 40.966]))

import torch

from srlit.ops.panel import GAP, side_by_side, stacked


def test_images_keep_their_pixels_and_smaller_ones_are_enlarged():
    small, large = torch.rand(3, 4, 6), torch.rand(3, 8, 5)
    row = side_by_side([small, large])
    assert row.shape == (3, 8, 12 + GAP + 5)
    assert torch.equal(row[:, ::2, :12:2], small)
    assert torch.equal(row[:, :, -5:], large)
    assert stacked([row, row[..., :7]]).shape == (3, 16 + GAP, row.shape[2])

import pytest
import torch

from srlit.ops import image_grid as grid


def test_images_keep_their_pixels_and_smaller_ones_are_enlarged():
    small, large = torch.rand(3, 4, 6), torch.rand(3, 8, 5)
    row = grid.side_by_side([small, large])
    assert row.shape == (3, 8, 12 + grid.GAP + 5)
    assert torch.equal(row[:, ::2, :12:2], small)
    assert torch.equal(row[:, :, -5:], large)
    assert grid.stacked([row, row[..., :7]]).shape == (3, 16 + grid.GAP, row.shape[2])


def test_rows_and_columns_are_found_again():
    images = [[torch.rand(3, 9, 13) * 0.9 for _ in range(3)] for _ in range(4)]
    picture = grid.stacked([grid.side_by_side(row) for row in images])
    found = [grid.columns_of(row, 3) for row in grid.rows_of(picture)]
    torch.testing.assert_close(found, images, atol=0, rtol=0)
    (row,) = grid.rows_of(images[0][0])
    assert torch.equal(row, images[0][0])


@pytest.mark.parametrize("count", [2, 4, 5])
def test_a_row_of_another_number_of_images_is_refused(count):
    row = grid.side_by_side([torch.rand(3, 9, 13) * 0.9 for _ in range(3)])
    with pytest.raises(ValueError, match=rf"47 .*{count} images"):
        grid.columns_of(row, count)


def test_images_are_labelled_and_equally_large_and_can_be_split_again():
    images = {"LR": torch.zeros(3, 8, 8), "HR": torch.ones(3, 16, 16)}
    image = grid.comparison(images)
    assert image.shape == (3, 16 + 26, 16 + 4 + 16)
    assert (image[:, 26:, :16] == 0).all()
    assert image[:, :26].min() < 0.5  # the label
    found = grid.split_comparison(image, ["LR", "HR"])
    assert torch.equal(found["LR"], torch.zeros(3, 16, 16))
    assert torch.equal(found["HR"], images["HR"])
    with pytest.raises(ValueError, match="36 pixels .* 3 images"):
        grid.split_comparison(image, ["LR", "net", "HR"])

import pytest
import torch

from srlit.ops.image_grid import GAP, columns_of, rows_of, side_by_side, stacked


def test_images_keep_their_pixels_and_smaller_ones_are_enlarged():
    small, large = torch.rand(3, 4, 6), torch.rand(3, 8, 5)
    row = side_by_side([small, large])
    assert row.shape == (3, 8, 12 + GAP + 5)
    assert torch.equal(row[:, ::2, :12:2], small)
    assert torch.equal(row[:, :, -5:], large)
    assert stacked([row, row[..., :7]]).shape == (3, 16 + GAP, row.shape[2])


def test_rows_and_columns_are_found_again():
    images = [[torch.rand(3, 9, 13) * 0.9 for _ in range(3)] for _ in range(4)]
    picture = stacked([side_by_side(row) for row in images])
    found = [columns_of(row, 3) for row in rows_of(picture)]
    assert all(
        torch.equal(a, b) for own, row in zip(images, found, strict=True)
        for a, b in zip(own, row, strict=True)
    )  # fmt: skip


def test_a_picture_of_one_row_is_one_row():
    row = torch.rand(3, 40, 30) * 0.9
    (found,) = rows_of(row)
    assert torch.equal(found, row)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_a_row_of_another_number_of_images_is_refused(count):
    row = side_by_side([torch.rand(3, 9, 13) * 0.9 for _ in range(3)])
    if count == 1:  # anything is one image
        assert columns_of(row, 1)[0].shape == row.shape
        return
    with pytest.raises(ValueError, match=rf"47 .*{count} images"):
        columns_of(row, count)

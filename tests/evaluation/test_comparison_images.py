"""Comparison images are put together and taken apart."""

import pytest
import torch

from srlit.evaluation.comparison_images import comparison, split_comparison

IMAGES = {"LR": torch.zeros(3, 8, 8), "HR": torch.ones(3, 16, 16)}


def test_images_are_labelled_and_equally_large_and_can_be_split_again():
    image = comparison(IMAGES)
    assert image.shape == (3, 16 + 26, 16 + 4 + 16)
    assert (image[:, 26:, :16] == 0).all()
    assert image[:, :26].min() < 0.5  # the label
    found = split_comparison(image, ["LR", "HR"])
    assert torch.equal(found["LR"], torch.zeros(3, 16, 16))
    assert torch.equal(found["HR"], IMAGES["HR"])
    with pytest.raises(ValueError, match="36 pixels .* 3 images"):
        split_comparison(image, ["LR", "net", "HR"])

import itertools

import pytest
import torch
import torch.nn.functional as F

from srlit.ops.tiling import crossfade, tile_starts, upscale_tiled


def nearest(x, scale=3):
    return F.interpolate(x, scale_factor=scale, mode="nearest")


@pytest.mark.parametrize("size", [(1, 1), (7, 131), (97, 33), (128, 128), (129, 300)])
@pytest.mark.parametrize(("tile", "overlap"), [(32, 8), (33, 16), (128, 32), (5, 0)])
def test_nearest_upscaling_is_exact(size, tile, overlap):
    x = torch.rand(1, 3, *size)
    assert torch.equal(upscale_tiled(nearest, x, scale=3, tile=tile, overlap=overlap), nearest(x))


def test_every_pixel_is_covered_and_neighbours_overlap_enough():
    for length in range(1, 400, 7):
        starts = tile_starts(length, 48, 16)
        assert starts[0] == 0
        assert length <= 48 or starts[-1] + 48 == length
        assert all(b - a <= 48 - 16 for a, b in itertools.pairwise(starts))


def test_the_window_is_nowhere_zero_and_sums_to_one():
    for length in (1, 2, 31, 64):
        ramp = crossfade(length)
        assert 0 < ramp.min() <= ramp.max() < 1
        torch.testing.assert_close(ramp + ramp.flip(0), torch.ones(length))


def test_tiles_that_disagree_are_blended_without_a_seam():
    """Each tile adds its own constant: the result must move between them in small steps."""
    offsets = iter([0.0, 1.0, 0.0, 1.0])
    result = upscale_tiled(
        lambda x: x * 0 + next(offsets), torch.zeros(1, 3, 32, 56), scale=1, tile=32, overlap=8
    )
    assert (result.min(), result.max()) == (0, 1)
    assert result.diff(dim=-1).abs().max() < 0.25


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (32, 17), (32, -1)])
def test_impossible_tiles_are_refused(tile, overlap):
    with pytest.raises(ValueError, match=f"tile={tile} with overlap={overlap}"):
        upscale_tiled(nearest, torch.rand(1, 3, 64, 64), scale=3, tile=tile, overlap=overlap)

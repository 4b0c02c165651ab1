import pytest
import torch

from srlit.degradation.stages.random_resize import Resize, Shrink
from srlit.ops.ragged_batch import RaggedBatch
from srlit.ops.resize import INTERPOLATIONS
from tests.degradation.sampling import rows


def test_resize_draws_up_down_and_keep_and_sizes_follow(photo):
    stage = Resize(
        factors=[[1, 1.5], [0.15, 1], [1, 1]], weights=[0.2, 0.7, 0.1], kinds=INTERPOLATIONS
    )
    factor = stage.sample(rows(4000))["factor"]
    assert abs((factor > 1).float().mean() - 0.2) < 0.02
    assert abs((factor == 1).float().mean() - 0.1) < 0.02
    assert 0.15 <= factor.min() < 0.16
    assert 1.49 < factor.max() <= 1.5
    x = (photo[..., :60, :80].float() / 255).expand(40, -1, -1, -1)
    params = stage.sample(rows(40))
    batch = stage.apply(RaggedBatch.of(x), params)
    assert (batch.pixels.shape, batch.min_size) == ((40, 3, 90, 120), (9, 12))
    expected = (params["factor"].double()[:, None] * torch.tensor([60, 80])).long()
    assert torch.equal(batch.sizes, expected)
    assert len({tuple(size) for size in batch.sizes.tolist()}) > 25
    back = Resize(factors=[[1, 1]], kinds=["area"], shrink=2)
    same = back.apply(batch, back.sample(rows(40)))
    assert (same.pixels.shape, same.sizes) == ((40, 3, 30, 40), None)


@pytest.mark.parametrize("factor", [0.7, 1 / 3, 0.35, 1.1])
def test_one_factor_for_all_fills_the_canvas(factor):
    """Drawn in float32, the factor may lie below the range by its last bit."""
    stage = Resize(factors=[[factor, factor]], kinds=["bilinear"])
    batch = stage.apply(RaggedBatch.of(torch.ones(3, 3, 30, 20)), stage.sample(rows(3)))
    assert batch.sizes is None
    expected = torch.ones(3, 3, int(30 * factor), int(20 * factor))
    torch.testing.assert_close(batch.pixels, expected)


def test_shrink_draws_the_divisor_uniformly():
    divisor = 1 / Shrink(divisor=[1, 8], kinds=["area"]).sample(rows(4000))["factor"]
    assert 1 <= divisor.min() < 1.02
    assert 7.98 < divisor.max() <= 8.001
    assert abs(divisor.mean() - 4.5) < 0.1

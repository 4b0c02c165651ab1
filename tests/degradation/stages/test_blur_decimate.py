import pytest
import torch

from srlit.degradation.stages.blur import Blur
from srlit.degradation.stages.blur_decimate import BlurDecimate
from srlit.degradation.stages.decimate import Decimate
from srlit.ops.ragged_batch import RaggedBatch
from tests.degradation.sampling import FAMILIES, apply, rows


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_blur_and_decimation_in_one_filter_are_the_two_after_each_other(photo, scale):
    """On an image whose border goes on far enough that neither sees its end."""
    kernels = [FAMILIES["gaussian"], FAMILIES["box"]]
    kinds = ["bilinear", "bicubic", "area"]
    size, margin = 12 * scale, 12 * scale
    x = torch.nn.functional.pad(
        photo[..., :size, : 2 * size].float() / 255, (margin,) * 4, mode="replicate"
    ).expand(12, -1, -1, -1)
    inner = x[..., margin : margin + size, margin : margin + 2 * size]
    together = BlurDecimate(kernels=kernels, scale=scale, kinds=kinds)
    params = together.sample(rows(12))
    blurred = Blur(kernels=kernels).apply(RaggedBatch.of(x), params)
    apart = Decimate(scale=scale, kinds=kinds).apply(blurred, params).pixels
    cut = margin // scale
    expected = apart[..., cut : cut + 12, cut : cut + 24]
    torch.testing.assert_close(apply(together, inner, params), expected, atol=2e-6, rtol=0)

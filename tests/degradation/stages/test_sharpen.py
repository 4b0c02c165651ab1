import pytest
import torch

from srlit.degradation.kernels import GaussianKernel
from srlit.degradation.stages.blur import Blur
from srlit.degradation.stages.random_resize import Resize
from srlit.degradation.stages.sharpen import Sharpen
from tests.degradation.sampling import apply, rows


def test_sharpening_spares_flat_regions(photo):
    x = photo[..., :80, :80].float() / 255
    sharp = apply(Sharpen(sigma=1.0, size=7, amount=1.0, threshold=2), x, {})
    assert sharp.var() > x.var()
    flat = torch.full((1, 3, 80, 80), 0.4)
    torch.testing.assert_close(apply(Sharpen(), flat, {}), flat)


@pytest.mark.parametrize(
    ("stage", "size", "message"),
    [
        (Blur(kernels=[GaussianKernel(sizes=[21], sigma=[1, 1])]), 10, "10 pixels.*10x12.*patch"),
        (Sharpen(), 20, "Sharpen reaches 25 pixels.*20x24"),
        (Resize(factors=[[0.05, 1]], kinds=["area"]), 10, "leaves 0x0 pixels of 10x12"),
    ],
)
def test_images_that_are_too_small_are_named(stage, size, message):
    x = torch.rand(2, 3, size, size * 6 // 5)
    with pytest.raises(ValueError, match=message):
        apply(stage, x, stage.sample(rows(2)))

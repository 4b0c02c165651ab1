import pytest
import torch

from srlit.phases.image_stats import image_stats
from srlit.types import Batch


def test_contrast_and_colour_error_of_known_images():
    draws = torch.Generator().manual_seed(0)
    hr = torch.rand(2, 3, 32, 32, generator=draws)
    batch = Batch(torch.nn.functional.avg_pool2d(hr, 2), hr)
    same = image_stats(batch, hr)
    assert float(same["contrast"]) == pytest.approx(1)
    assert float(same["colour_error"]) == pytest.approx(0, abs=1e-6)
    cast = image_stats(batch, 0.5 * hr + torch.tensor([0.3, 0.0, 0.0])[:, None, None])
    assert float(cast["colour_error"]) > 0.05
    assert float(image_stats(batch, torch.full_like(hr, 0.5))["contrast"]) == 0

import torch
from torch.nn.functional import avg_pool2d

from srlit.degradation.stages.kornia_resize import KorniaResize
from tests.degradation.sampling import apply, rows


def test_interpolations_are_drawn_per_sample_and_area_is_the_mean(photo):
    x = (photo[..., :48, :60].float() / 255).expand(60, -1, -1, -1)
    stage = KorniaResize(scale=3, kinds=["bilinear", "area", "bicubic"])
    params = stage.sample(rows(60))
    lr = apply(stage, x, params)
    assert set(params["kind"].tolist()) == {0, 1, 2}
    area = lr[params["kind"] == 1]
    torch.testing.assert_close(area, avg_pool2d(x[: len(area)], 3))
    assert not torch.equal(lr[params["kind"] == 0][0], area[0])

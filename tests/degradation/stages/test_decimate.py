import pytest
import torch

from srlit.degradation.stages.bicubic import Bicubic
from srlit.degradation.stages.decimate import Decimate
from srlit.degradation.stages.kornia_resize import KorniaResize
from srlit.ops.ragged_batch import RaggedBatch
from tests.degradation.sampling import apply, rows


def test_decimation_kinds_are_drawn_per_sample(photo):
    x = (photo[..., :63, :63].float() / 255).expand(60, -1, -1, -1)
    stage = Decimate(scale=3, kinds=["bilinear", "bicubic", "area"])
    params = stage.sample(rows(60))
    assert set(params["kind"].tolist()) == {0, 1, 2}
    lr = apply(stage, x, params)
    assert lr.shape == (60, 3, 21, 21)
    for kind in range(3):
        same = lr[params["kind"] == kind]
        assert torch.equal(same, same[:1].expand_as(same))


AREA = {"scale": 2, "kinds": ["area"]}


@pytest.mark.parametrize("stage", [Decimate(**AREA), Bicubic(scale=2), KorniaResize(**AREA)])
def test_a_shrink_for_one_size_says_so(stage):
    batch = RaggedBatch(torch.zeros(2, 3, 8, 8), (8, 8), torch.tensor([[8, 8], [4, 4]]), (4, 4))
    with pytest.raises(ValueError, match=f"{type(stage).__name__} .*before every Resize"):
        stage.apply(batch, stage.sample(rows(2)))

import torch

from srlit.degradation.stages.bicubic import Bicubic
from srlit.ops.resize import imresize
from tests.degradation.sampling import apply, rows


def test_equals_imresize_and_draws_nothing(photo):
    stage = Bicubic(scale=3)
    x = photo[..., :60, :90].float() / 255
    assert stage.sample(rows(1)) == {}
    assert torch.equal(apply(stage, x, {}), imresize(x, 1 / 3))

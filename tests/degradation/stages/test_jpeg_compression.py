import torch

from srlit.degradation.stages.jpeg_compression import Jpeg
from srlit.ops.jpeg import jpeg
from srlit.ops.ragged_batch import RaggedBatch
from tests.degradation.sampling import apply, rows
from tests.elsewhere import elsewhere, here


def test_jpeg_draws_quality_and_subsampling_per_sample(photo):
    x = (photo[..., :33, :31].float() / 255).expand(200, -1, -1, -1)
    stage = Jpeg(quality=[60, 95], subsamplings=["4:2:0", "4:4:4"])
    params = stage.sample(rows(200))
    assert 60 <= params["quality"].min() < params["quality"].max() <= 95
    assert len(set(params["quality"].tolist())) > 25
    coded = apply(stage, x, params)
    for index, subsampling in enumerate(stage.subsamplings):
        own = params["subsampling"] == index
        assert abs(own.float().mean() - 0.5) < 0.12
        expected = jpeg(x[own], params["quality"][own].float(), subsampling=subsampling)
        assert torch.equal(coded[own], expected)
    # The tensor codec of other devices gives libjpeg's picture, also at sizes of their own.
    sizes = torch.stack([torch.arange(200) % 29 + 5, torch.arange(200) % 27 + 5], 1)
    batch = RaggedBatch(x.clone(), (33, 31), sizes, (5, 5))
    other = RaggedBatch(elsewhere(x), (33, 31), sizes, (5, 5))
    ours, theirs = stage.apply(batch, params), stage.apply(other, params)
    for i, (h, w) in enumerate(sizes.tolist()):
        assert torch.equal(ours.pixels[i, :, :h, :w], here(theirs.pixels)[i, :, :h, :w])

import pytest
import torch

from srlit.degradation import H264, Avif, Resize, WebP
from srlit.ops import file_codecs as codecs
from srlit.ops.ragged_batch import RaggedBatch
from srlit.ops.rng import RowGenerator, make_keys
from tests.elsewhere import elsewhere, here


@pytest.mark.parametrize(
    ("stage", "codec"),
    [
        (WebP(quality=[20, 90]), codecs.webp),
        (Avif(quality=[20, 90]), codecs.avif),
        (H264(quality=[18, 38]), codecs.h264),
    ],
)
def test_each_sample_is_coded_at_its_own_size_and_quality_on_every_device(photo, stage, codec):
    x = (photo[..., :48, :60].float() / 255).expand(5, -1, -1, -1)
    rows = RowGenerator(make_keys(0, (), torch.arange(5)))
    resize = Resize(factors=[[0.4, 1]], kinds=["area"])
    before = resize.apply(RaggedBatch.of(x), resize.sample(rows))
    params = stage.sample(rows)
    assert len(set(params["quality"].tolist())) > 2
    coded = stage.apply(before, params)
    other = stage.apply(before._replace(pixels=elsewhere(before.pixels)), params)
    for i, (h, w) in enumerate(before.sizes.tolist()):
        own = params["quality"][i : i + 1].float()
        expected = codec(before.pixels[i : i + 1, :, :h, :w], own)
        assert torch.equal(coded.pixels[i : i + 1, :, :h, :w], expected)
        assert torch.equal(here(other.pixels)[i : i + 1, :, :h, :w], expected)

import pytest
import torch

from srlit.degradation.stages.file_codec import FileCodec
from srlit.degradation.stages.random_resize import Resize
from srlit.ops.file_codecs import encode_decode
from srlit.ops.ragged_batch import RaggedBatch
from tests.degradation.sampling import rows
from tests.elsewhere import elsewhere, here


@pytest.mark.parametrize(
    ("codec", "quality"), [("webp", [20, 90]), ("avif", [20, 90]), ("h264", [18, 38])]
)
def test_each_sample_is_coded_at_its_own_size_and_quality_on_every_device(photo, codec, quality):
    x = (photo[..., :48, :60].float() / 255).expand(5, -1, -1, -1)
    resize = Resize(factors=[[0.4, 1]], kinds=["area"])
    before = resize.apply(RaggedBatch.of(x), resize.sample(rows(5)))
    stage = FileCodec(codec=codec, quality=quality)
    params = stage.sample(rows(5))
    assert len(set(params["quality"].tolist())) > 2
    coded = stage.apply(before, params)
    other = stage.apply(before._replace(pixels=elsewhere(before.pixels)), params)
    for i, (h, w) in enumerate(before.sizes.tolist()):
        own = params["quality"][i : i + 1].float()
        expected = encode_decode(codec, before.pixels[i : i + 1, :, :h, :w], own)
        assert torch.equal(coded.pixels[i : i + 1, :, :h, :w], expected)
        assert torch.equal(here(other.pixels)[i : i + 1, :, :h, :w], expected)


def test_h264_ends_at_51():
    with pytest.raises(ValueError, match=r"FileCodec.quality=\[18, 60\].*51"):
        FileCodec(codec="h264", quality=[18, 60])

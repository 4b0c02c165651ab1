import io

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.ops.jpeg import jpeg
from srlit.ops.ragged_batch import extend

QUALITIES = [10, 30, 60, 75, 90, 100]
SUBSAMPLINGS = ["4:2:0", "4:4:4"]


def pillow(pixels: np.ndarray, quality: int, subsampling: str) -> torch.Tensor:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("size", [(253, 337), (1, 1), (3, 17), (16, 16), (9, 8)])
def test_libjpegs_image_to_the_bit_at_any_size(photo, quality, subsampling, size):
    x = photo[..., 3 : 3 + size[0], 5 : 5 + size[1]]
    ours = jpeg(x.float() / 255, torch.tensor([float(quality)]), subsampling=subsampling) * 255
    reference = pillow(x[0].permute(1, 2, 0).contiguous().numpy(), quality, subsampling)
    assert torch.equal(ours.round(), reference)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_samples_of_their_own_size_on_one_canvas(photo, subsampling):
    x = photo[..., :70, :90].expand(4, -1, -1, -1).float() / 255
    sizes = torch.tensor([[70, 90], [33, 41], [16, 17], [1, 2]])
    quality = torch.tensor([50.0, 80.0, 30.0, 90.0])
    together = jpeg(extend(x, sizes), quality, subsampling=subsampling, sizes=sizes)
    for i, (h, w) in enumerate(sizes.tolist()):
        alone = jpeg(x[i : i + 1, :, :h, :w], quality[i : i + 1], subsampling=subsampling)
        assert torch.equal(together[i : i + 1, :, :h, :w], alone)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [30, 60, 75, 90])
def test_twenty_photos_are_libjpegs_to_the_bit(shared_data, quality, subsampling):
    for index, path in enumerate(sorted((shared_data / "bsd100").glob("*.png"))[:20]):
        pixels = np.asarray(Image.open(path).convert("RGB"))[index % 7 :, index % 5 :]
        x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
        ours = jpeg(x.float() / 255, torch.tensor([float(quality)]), subsampling=subsampling) * 255
        assert torch.equal(ours.round(), pillow(pixels, quality, subsampling))

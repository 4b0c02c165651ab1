import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from srlit.ops.filters import separable_filter
from srlit.ops.resize import DECIMATIONS, decimation_pad, decimation_taps, imresize


def read(path):
    pixels = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_imresize_equals_matlab_to_the_bit(shared_data, scale):
    folder = shared_data / "set5" / f"x{scale}"
    paths = sorted((folder / "HR").iterdir())
    assert paths
    for path in paths:
        ours = imresize(read(path), 1 / scale)
        matlab = read(folder / "LR" / path.name)
        assert torch.equal((ours * 255).round(), (matlab * 255).round()), path.name


def test_imresize_upscales_to_the_published_psnr(shared_data):
    """Bicubic x2 on Set5, Y, border 2: 33.66 dB in every paper since SRCNN."""
    from srlit.metrics.fidelity import psnr
    from srlit.ops.colour import rgb_to_y

    folder = shared_data / "set5" / "x2"
    values = []
    for path in sorted((folder / "HR").iterdir()):
        sr = imresize(read(folder / "LR" / path.name), 2)
        inside = (..., slice(2, -2), slice(2, -2))
        values.append(psnr(rgb_to_y(sr)[inside], rgb_to_y(read(path))[inside]).item())
    assert abs(sum(values) / len(values) - 33.66) < 0.03


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kind", DECIMATIONS)
def test_decimation_is_torchs_interpolation(kind, scale):
    x = torch.rand(2, 3, 8 * scale, 6 * scale)
    taps = decimation_taps(kind, scale)[None].expand(2, -1)
    ours = separable_filter(x, taps, stride=scale, pad=decimation_pad(scale))
    options = {} if kind == "area" else {"align_corners": False}
    reference = F.interpolate(x, scale_factor=1 / scale, mode=kind, **options)
    torch.testing.assert_close(ours, reference, atol=1e-6, rtol=0)


def test_unknown_decimation_is_named():
    with pytest.raises(ValueError, match="'lanczos'.*bilinear, bicubic, area"):
        decimation_taps("lanczos", 2)

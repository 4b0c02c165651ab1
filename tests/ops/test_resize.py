from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from srlit.ops import resize as ops
from srlit.ops.filters import separable_filter
from srlit.ops.resize import INTERPOLATIONS, imresize, interpolate
from tests.elsewhere import elsewhere, here


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


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kind", get_args(ops.Decimation))
def test_decimation_is_torchs_interpolation(kind, scale):
    x = torch.rand(2, 3, 8 * scale, 6 * scale)
    taps = ops.decimation_taps(kind, scale)[None].expand(2, -1)
    ours = separable_filter(x, taps, stride=scale, pad=ops.decimation_pad(scale))
    options = {} if kind == "area" else {"align_corners": False}
    reference = F.interpolate(x, scale_factor=1 / scale, mode=kind, **options)
    torch.testing.assert_close(ours, reference, atol=1e-6, rtol=0)


SIZES = [((37, 50), (20, 31)), ((37, 50), (53, 77)), ((30, 40), (15, 20)), ((41, 7), (6, 7))]


def resize(x, size, kind, place=lambda tensor: tensor):
    n, (h, w) = len(x), x.shape[-2:]
    source, target = torch.tensor([[h, w]] * n), torch.tensor([list(size)] * n)
    return interpolate(place(x), source, target, torch.zeros(n).long(), [kind], size)


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize(
    "kind", ["nearest", "bilinear", "area", "bilinear_antialiased", "bicubic_antialiased"]
)
def test_interpolations_are_torchs(kind, before, after):
    x = torch.rand(2, 3, *before)
    mode, _, antialias = kind.replace("nearest", "nearest-exact").partition("_")
    expected = F.interpolate(x, size=after, mode=mode, antialias=bool(antialias))
    torch.testing.assert_close(resize(x, after, kind), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("before", "after"), SIZES[:3])
def test_bicubic_is_torchs_where_its_taps_lie_inside(before, after):
    """At the border torch repeats the last pixel; here the taps outside are dropped."""
    x = torch.rand(1, 3, *before)
    difference = resize(x, after, "bicubic") - F.interpolate(x, size=after, mode="bicubic")
    assert difference[..., 3:-3, 3:-3].abs().max() < 1e-5


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_lanczos_is_pillows(photo, before, after):
    pixels = photo[0, 0, 50 : 50 + before[0], 90 : 90 + before[1]]
    image = Image.fromarray(pixels.float().numpy())
    reference = np.array(image.resize(after[::-1], Image.Resampling.LANCZOS))
    ours = resize(pixels.float().expand(1, 3, -1, -1), after, "lanczos_antialiased")
    torch.testing.assert_close(ours[0, 0], torch.from_numpy(reference), atol=2e-3, rtol=0)


def test_every_sample_has_its_own_sizes_and_kind_on_every_device():
    n = len(INTERPOLATIONS)
    x = torch.rand(n, 3, 24, 30)
    source = torch.tensor([[24 - i, 30 - 2 * i] for i in range(n)])
    target = torch.tensor([[10 + 3 * i, 33 - 3 * i] for i in range(n)])
    kind = torch.arange(n)
    canvas = interpolate(x, source, target, kind, INTERPOLATIONS, (31, 33))
    other = here(interpolate(elsewhere(x), source, target, kind, INTERPOLATIONS, (31, 33)))
    for i, name in enumerate(INTERPOLATIONS):
        (h, w), (oh, ow) = source[i].tolist(), target[i].tolist()
        alone = resize(x[i : i + 1, :, :h, :w], (oh, ow), name)
        assert torch.equal(canvas[i : i + 1, :, :oh, :ow], alone)
        torch.testing.assert_close(other[i : i + 1, :, :oh, :ow], alone, atol=1e-6, rtol=0)

import io
import sys
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, features

from srlit.ops.file_codecs import encode_decode, libjpeg

CODECS = {
    "jpeg": libjpeg,
    **{name: partial(encode_decode, name) for name in ("webp", "avif", "h264")},
}
# From much loss to little; all are whole and none is a default.
LADDERS = {
    "jpeg": [5, 20, 40, 70, 96],
    "webp": [0, 20, 40, 70, 96],
    "avif": [0, 20, 40, 70, 96],
    "h264": [51, 40, 30, 18, 2],
}


def pillow(pixels, form, quality, **settings):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=quality, **settings)
    return np.array(Image.open(buffer, formats=[form]))


def pyav(pixels, crf):
    """Through a Matroska file in memory, with PyAV's muxer."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(crf)}
        stream = output.add_stream("libx264", rate=Fraction(25), options=options)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        # Several threads would cut the frame into slices.
        stream.codec_context.thread_count = 1
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    file.seek(0)
    with av.open(file) as video:
        (decoded,) = video.decode(video=0)
        return decoded.to_ndarray(format="rgb24")


ORACLES = {
    "jpeg": lambda pixels, quality: pillow(pixels, "JPEG", quality, subsampling="4:2:0"),
    "webp": lambda pixels, quality: pillow(pixels, "WEBP", quality, method=4),
    "avif": lambda pixels, quality: pillow(pixels, "AVIF", quality, speed=10),
    "h264": pyav,
}


def skip_without(name):
    if name == "h264":
        av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'srlit[video]'")
        has = "libx264" in av.codecs_available
    else:
        has = features.check({"jpeg": "jpg"}.get(name, name))
    if not has:
        pytest.skip(f"the installed Pillow or PyAV was built without {name}")


@pytest.fixture(params=CODECS)
def name(request):
    skip_without(request.param)
    return request.param


def crops(photo, n, h, w):
    parts = [photo[0, :, 20 * i : 20 * i + h, 30 * i : 30 * i + w] for i in range(n)]
    return torch.stack(parts).float() / 255


def to_pixels(x):
    return (x * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def to_images(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("size", [(64, 48), (38, 54), (2, 2), (128, 128)])
def test_equals_the_library_called_directly(photo, name, size):
    x = crops(photo, len(LADDERS[name]), *size)
    ours = CODECS[name](x, torch.tensor(LADDERS[name]).float())
    for i, quality in enumerate(LADDERS[name]):
        assert torch.equal(ours[i : i + 1], to_images(ORACLES[name](to_pixels(x[i]), quality)))


@pytest.mark.parametrize("size", [(37, 53), (1, 1), (1, 8), (3, 17)])
@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_equals_pillow_at_odd_sizes(photo, name, size):
    skip_without(name)
    x = crops(photo, 2, *size)
    ours = CODECS[name](x, torch.tensor([30.0, 90.0]))
    assert ours.shape == x.shape
    for i, quality in enumerate([30, 90]):
        assert torch.equal(ours[i : i + 1], to_images(ORACLES[name](to_pixels(x[i]), quality)))


@pytest.mark.parametrize("size", [(37, 53), (1, 1), (1, 8), (3, 16)])
def test_h264_repeats_the_border_of_odd_sizes(photo, size):
    skip_without("h264")
    x = crops(photo, 1, *size)
    h, w = size
    pixels = to_pixels(x[0])
    rows, columns = [*range(h), h - 1][: h + h % 2], [*range(w), w - 1][: w + w % 2]
    even = np.ascontiguousarray(pixels[rows][:, columns])
    ours = encode_decode("h264", x, torch.tensor([20.0]))
    assert torch.equal(ours, to_images(pyav(even, 20)[:h, :w]))


@pytest.mark.parametrize("quality", [1, 25, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_jpeg_equals_pillow_at_any_quality(photo, quality, subsampling):
    x = photo[..., 3:256, 5:342].float() / 255
    ours = libjpeg(x, torch.tensor([float(quality)]), subsampling=subsampling)
    theirs = pillow(to_pixels(x[0]), "JPEG", quality, subsampling=subsampling)
    assert torch.equal(ours, to_images(theirs))


def test_subsampling_blurs_colour():
    x = torch.zeros(1, 3, 16, 16)
    x[:, 0, :, ::2] = 1
    quality = torch.tensor([95.0])
    full, half = (libjpeg(x, quality, subsampling=s) for s in ("4:4:4", "4:2:0"))
    assert (half - x).abs().mean() > 4 * (full - x).abs().mean()


def test_better_quality_errs_less(photo, name):
    x = crops(photo, 1, 120, 120).expand(5, -1, -1, -1)
    errors = (CODECS[name](x, torch.tensor(LADDERS[name]).float()) - x).abs().mean((1, 2, 3))
    assert (errors.diff() < 0).all(), errors


def test_a_sample_knows_nothing_of_its_batch(photo, name):
    x = crops(photo, 5, 48, 40)
    quality = torch.tensor(LADDERS[name]).float()
    together = CODECS[name](x, quality)
    assert torch.equal(CODECS[name](x.flip(0), quality.flip(0)).flip(0), together)
    for i in range(5):
        alone = CODECS[name](x[i : i + 1], quality[i : i + 1])
        assert torch.equal(alone, together[i : i + 1])


def test_threads_change_nothing(photo, name):
    x = crops(photo, 5, 48, 40)
    quality = torch.tensor(LADDERS[name]).float()
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 4):
            torch.set_num_threads(number)
            results.append(CODECS[name](x, quality))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_gives_its_inputs_type_on_the_grid_and_leaves_the_input(photo, name):
    x = crops(photo, 2, 32, 32).double().requires_grad_()
    before = x.detach().clone()
    ours = CODECS[name](x, torch.tensor([20.0, 40.0]))
    assert ours.dtype == torch.float64
    assert not ours.requires_grad
    assert ours.is_contiguous()
    assert torch.equal(ours, (ours * 255).round() / 255)
    assert 0 <= ours.min() < ours.max() <= 1
    assert torch.equal(x.detach(), before)


def test_qualities_and_pixels_are_rounded(photo, name):
    x = crops(photo, 1, 32, 32)
    ours = CODECS[name](x + 0.4 / 255, torch.tensor([30.4]))
    assert torch.equal(ours, CODECS[name](x, torch.tensor([30.0])))
    beyond = CODECS[name](x * 4 - 1, torch.tensor([30.0]))
    assert torch.equal(beyond, CODECS[name]((x * 4 - 1).clamp(0, 1), torch.tensor([30.0])))


def test_an_empty_batch_stays_empty(name):
    assert CODECS[name](torch.rand(0, 3, 8, 8), torch.rand(0)).shape == (0, 3, 8, 8)


def test_the_ends_of_the_scales(name):
    low, high = {"jpeg": (1, 100), "h264": (0, 51)}.get(name, (0, 100))
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    CODECS[name](x, torch.tensor([low, high]).float())
    for bad in (low - 0.5, high + 0.5, float("nan")):
        with pytest.raises(ValueError, match=f"{bad}: .*{low} to {high}"):
            CODECS[name](x, torch.tensor([bad, high]))


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_a_codec_missing_in_pillow_is_named(monkeypatch, name):
    monkeypatch.setattr(features, "check", lambda codec: codec != name)
    with pytest.raises(RuntimeError, match=f"'{name}'"):
        CODECS[name](torch.rand(1, 3, 8, 8), torch.tensor([50.0]))


def test_missing_pyav_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'srlit\[video\]'"):
        encode_decode("h264", torch.rand(1, 3, 8, 8), torch.tensor([23.0]))


def test_pyav_without_x264_is_named(monkeypatch):
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'srlit[video]'")
    monkeypatch.setattr(av, "codecs_available", {"h264"})
    with pytest.raises(RuntimeError, match="'libx264'"):
        encode_decode("h264", torch.rand(1, 3, 8, 8), torch.tensor([23.0]))

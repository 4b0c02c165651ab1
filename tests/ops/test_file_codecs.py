import io
import sys
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, features

from srlit.ops import file_codecs
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
    """Through a Matroska file in memory, with PyAV's muxer; odd sizes repeat the border."""
    import av

    h, w = pixels.shape[:2]
    rows, columns = [*range(h), h - 1][: h + h % 2], [*range(w), w - 1][: w + w % 2]
    even = np.ascontiguousarray(pixels[rows][:, columns])
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(crf)}
        stream = output.add_stream("libx264", rate=Fraction(25), options=options)
        stream.height, stream.width = even.shape[:2]
        stream.pix_fmt = "yuv420p"
        # Several threads would cut the frame into slices.
        stream.codec_context.thread_count = 1
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    file.seek(0)
    with av.open(file) as video:
        (decoded,) = video.decode(video=0)
        return decoded.to_ndarray(format="rgb24")[:h, :w]


ORACLES = {
    "jpeg": lambda pixels, quality: pillow(pixels, "JPEG", quality, subsampling="4:2:0"),
    "webp": lambda pixels, quality: pillow(pixels, "WEBP", quality, method=4),
    "avif": lambda pixels, quality: pillow(pixels, "AVIF", quality, speed=10),
    "h264": pyav,
}


@pytest.fixture(params=CODECS)
def name(request):
    try:
        if request.param != "jpeg":
            file_codecs.CODECS[request.param].require()
    except (ImportError, RuntimeError) as error:
        pytest.skip(str(error))
    return request.param


def crops(photo, n, h, w):
    parts = [photo[0, :, 20 * i : 20 * i + h, 30 * i : 30 * i + w] for i in range(n)]
    return torch.stack(parts).float() / 255


def to_pixels(x):
    return (x * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def to_images(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [(64, 48), (38, 54), (2, 2), (37, 53), (1, 1), (1, 8), (3, 17)])
def test_equals_the_library_for_each_sample(photo, name, size, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x = crops(photo, len(LADDERS[name]), *size)
    ours = CODECS[name](x, torch.tensor(LADDERS[name]).float())
    for i, quality in enumerate(LADDERS[name]):
        assert torch.equal(ours[i : i + 1], to_images(ORACLES[name](to_pixels(x[i]), quality)))


def test_gives_its_inputs_type_on_the_grid_and_leaves_the_input(photo, name):
    x = crops(photo, 2, 32, 32).double().requires_grad_()
    before = x.detach().clone()
    ours = CODECS[name](x, torch.tensor([20.0, 40.0]))
    assert ours.dtype == torch.float64
    assert not ours.requires_grad
    assert ours.is_contiguous()
    assert torch.equal(ours, (ours * 255).round() / 255)
    assert torch.equal(x.detach(), before)
    assert CODECS[name](torch.rand(0, 3, 8, 8), torch.rand(0)).shape == (0, 3, 8, 8)


def test_qualities_and_pixels_are_rounded(photo, name):
    x = crops(photo, 1, 32, 32)
    ours = CODECS[name](x + 0.4 / 255, torch.tensor([30.4]))
    assert torch.equal(ours, CODECS[name](x, torch.tensor([30.0])))
    beyond = CODECS[name](x * 4 - 1, torch.tensor([30.0]))
    assert torch.equal(beyond, CODECS[name]((x * 4 - 1).clamp(0, 1), torch.tensor([30.0])))


def test_the_ends_of_the_scales(name):
    low, high = {"jpeg": (1, 100), "h264": (0, 51)}.get(name, (0, 100))
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    CODECS[name](x, torch.tensor([low, high]).float())
    for bad in (low - 0.5, high + 0.5, float("nan")):
        with pytest.raises(ValueError, match=f"{bad}: .*{low} to {high}"):
            CODECS[name](x, torch.tensor([bad, high]))


@pytest.mark.parametrize("codec", ["webp", "avif"])
def test_a_codec_missing_in_pillow_is_named(monkeypatch, codec):
    monkeypatch.setattr(features, "check", lambda name: name != codec)
    with pytest.raises(RuntimeError, match=f"'{codec}'"):
        encode_decode(codec, torch.rand(1, 3, 8, 8), torch.tensor([50.0]))


@pytest.mark.parametrize(
    ("av", "error", "message"),
    [
        (None, ImportError, r"pip install 'srlit\[video\]'"),
        (SimpleNamespace(__version__="1", codecs_available={"h264"}), RuntimeError, "'libx264'"),
    ],
)
def test_missing_pyav_and_pyav_without_x264_are_named(monkeypatch, av, error, message):
    monkeypatch.setitem(sys.modules, "av", av)
    with pytest.raises(error, match=message):
        encode_decode("h264", torch.rand(1, 3, 8, 8), torch.tensor([23.0]))

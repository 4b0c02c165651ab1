"""Networks from ONNX files: one that torch exports, and small ones made by hand."""

import re
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from srlit.checkpoint import CheckpointError
from srlit.config.entry import SomeFailed
from srlit.evaluate import evaluate
from srlit.inference.upscalers import NetworkUpscaler
from srlit.models.compact import Compact
from srlit.models.load import load_generator
from srlit.models.onnx import OnnxGenerator
from srlit.upscale import upscale
from tests.helpers import compose_config

SAME = helper.make_node("Identity", ["x0"], ["y"])
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network, and the file that torch makes of it, which takes any batch and size."""
    torch.manual_seed(0)
    network = Compact(scale=2, num_feat=8, num_conv=2).eval()
    path = tmp_path_factory.mktemp("onnx") / "compact.onnx"
    sizes = ({0: "n", 2: "h", 3: "w"},)
    lr = torch.rand(2, 3, 16, 16)
    torch.onnx.export(network, (lr,), path, dynamo=True, dynamic_shapes=sizes, verbose=False)
    return network, path


def by_hand(
    path, *, taken=("n", 3, "h", "w"), given=None, kind=FLOAT, node=None, nodes=None, inputs=1
):
    """A file with one operation, nearest-neighbour enlargement by 3 unless others are given."""
    scales = helper.make_tensor("scales", FLOAT, [4], [1, 1, 3, 3])
    half = helper.make_tensor("half", FLOAT, [], [0.5])
    node = node or helper.make_node("Resize", ["x0", "", "scales"], ["y"], mode="nearest")
    graph = helper.make_graph(
        nodes or [node],
        "by_hand",
        [helper.make_tensor_value_info(f"x{i}", kind, taken) for i in range(inputs)],
        [helper.make_tensor_value_info("y", kind, given or [None] * 4)],
        [scales, half],
    )
    opset = [helper.make_opsetid("", 19)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@torch.no_grad()
def test_it_gives_what_the_network_gives(exported):
    network, path = exported
    generator, card = load_generator(path)
    assert (generator.scale, card["name"]) == (2, "compact")
    for n, h, w in ((1, 16, 16), (3, 7, 20)):
        lr = torch.rand(n, 3, h, w)
        torch.testing.assert_close(generator(lr), network(lr), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "tolerance"), [(FLOAT, 0.0), (HALF, 1e-3)])
def test_fixed_sizes_batches_and_half_precision(tmp_path, kind, tolerance):
    path = by_hand(tmp_path / "x3.onnx", taken=(2, 3, 16, 12), kind=kind)
    generator = OnnxGenerator(path)
    assert generator.scale == 3
    for n, h, w in ((1, 16, 12), (3, 5, 12), (5, 1, 2)):
        lr = torch.rand(n, 3, h, w)
        expected = lr.repeat_interleave(3, 2).repeat_interleave(3, 3)
        torch.testing.assert_close(generator(lr), expected, rtol=0, atol=tolerance)
    with pytest.raises(ValueError, match=r"takes images of 16x12 pixels, got 17x3: set tile=12"):
        generator(torch.rand(1, 3, 17, 3))


def test_a_fixed_size_sets_the_tile(tmp_path):
    path = by_hand(tmp_path / "x3.onnx", taken=(1, 3, 16, 12))
    lr = torch.rand(1, 3, 40, 25, generator=torch.Generator().manual_seed(0))
    for asked, expected in ((None, 12), (512, 12), (8, 8)):
        sizes = {"device": torch.device("cpu"), "tile": asked, "overlap": 4}
        upscaler = NetworkUpscaler("x3", OnnxGenerator(path), **sizes)
        assert upscaler.tile == expected
        assert torch.equal(upscaler(lr), lr.repeat_interleave(3, 2).repeat_interleave(3, 3))

    Image.new("RGB", (50, 20), "red").save(tmp_path / "a.png")
    files = f"input={tmp_path / 'a.png'}", f"output={tmp_path / 'out'}", f"checkpoint={path}"
    [written] = upscale(compose_config("upscale", *files))
    assert Image.open(written).size == (150, 60)


@pytest.fixture
def endless(tmp_path, monkeypatch):
    """A file that enlarges dark images by 3, and computes for ever where anything is bright."""
    monkeypatch.setattr("srlit.models.onnx.SECONDS", 3.0)
    monkeypatch.setattr("srlit.models.onnx.SECONDS_PER_PIXEL", 0.0)
    flag = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    image = helper.make_tensor_value_info("v", FLOAT, [None] * 4)
    same = [("go", "going"), ("v", "w")]
    body = helper.make_graph(
        [helper.make_node("Identity", [taken], [given]) for taken, given in same],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), flag, image],
        [
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", FLOAT, [None] * 4),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x0"], ["max"], keepdims=0),
        helper.make_node("Greater", ["max", "half"], ["bright"]),
        helper.make_node("Loop", ["", "bright", "x0"], ["looped"], body=body),
        helper.make_node("Resize", ["looped", "", "scales"], ["y"], mode="nearest"),
    ]
    return by_hand(tmp_path / "endless.onnx", nodes=nodes)


def test_a_network_that_never_ends_is_stopped_and_the_others_are_upscaled(endless, tmp_path):
    (tmp_path / "in").mkdir()
    for name, colour in (("a", "black"), ("b", "white"), ("c", "black")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / "in" / f"{name}.png")
    files = f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", f"checkpoint={endless}"
    with pytest.raises(SomeFailed, match=r"1 of 3.*\n.*b\.png: .*endless\.onnx: .*stopped.* 3 s$"):
        upscale(compose_config("upscale", *files))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_the_process_of_a_network_ends_with_it_and_starts_anew_if_it_was_killed(exported):
    generator, lr = OnnxGenerator(exported[1]), torch.rand(1, 3, 8, 8)
    expected = generator(lr)
    first = generator._session._process
    first.kill()
    first.wait()
    assert torch.equal(generator(lr), expected)
    second = generator._session._process
    assert second.poll() is None
    del generator
    assert second.poll() is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taken": ("n", 1, "h", "w")}, "expected one input"),
        ({"taken": ("n", 3, "h"), "given": [None] * 3, "node": SAME}, "expected one input"),
        ({"inputs": 2}, "expected one input"),
        ({"kind": TensorProto.DOUBLE, "node": SAME}, "tensor(double)"),
        ({"node": helper.make_node("GlobalAveragePool", ["x0"], ["y"])}, "made (1, 3, 1, 1)"),
        ({"node": helper.make_node("Unheard", ["x0"], ["y"])}, "cannot be run as ONNX"),
    ],
    ids=["grey", "flat", "two inputs", "double", "no enlargement", "unknown operation"],
)
def test_what_is_no_generator_is_told(tmp_path, change, message):
    path = by_hand(tmp_path / "other.onnx", **change)
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        load_generator(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"PK\x03\x04 no such thing"])
def test_damaged_files_are_told(tmp_path, content):
    (path := tmp_path / "damaged.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged.onnx"):
        load_generator(path)


def test_without_onnxruntime_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match=r"pip install 'srlit\[onnx\]'"):
        OnnxGenerator(tmp_path / "some.onnx")


def test_evaluate_and_upscale_take_them(exported, tmp_path, photo_folder):
    network, path = exported
    torch.save({"params": network.state_dict()}, tmp_path / "compact.pth")
    photos = ("data=folder", f"data.photos.train_folder={photo_folder}", "data.photos.holdout=2")
    both = f"checkpoints=[{path},{tmp_path / 'compact.pth'}]"
    usual = ("metrics.names=[psnr_rgb_b0]", "data.eval_crop=48", "device=cpu", "paths.store=null")
    cfg = compose_config("evaluate", both, *photos, *usual, f"paths.runs={tmp_path}")
    rows = {row["name"]: row["psnr_rgb_b0"] for row in evaluate(cfg)}
    assert rows["compact.onnx"] == pytest.approx(rows["compact.pth"], abs=1e-3)

    source = photo_folder / "00.png"
    files = f"input={source}", f"output={tmp_path}", f"checkpoint={path}"
    [written] = upscale(compose_config("upscale", *files, "tile=64"))
    assert Image.open(written).size == tuple(2 * np.array(Image.open(source).size))


def test_they_cannot_be_blended(exported, tmp_path, photo_folder):
    photos = ("data=folder", f"data.photos.train_folder={photo_folder}", "data.photos.holdout=2")
    asked = f"interpolate=[{exported[1]},{exported[1]}]", "metrics.names=[mae]"
    cfg = compose_config("evaluate", *asked, *photos, f"paths.runs={tmp_path}")
    with pytest.raises(ValueError, match="ONNX"):
        evaluate(cfg)

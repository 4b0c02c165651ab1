"""What a network is said to cost and see, against networks whose numbers are known."""

import re

import pytest
import torch
from torch import nn

from srlit.config import CONF_DIR, build
from srlit.config.root import options
from srlit.evaluation.model_card import ModelCard, activation_memory, multiply_adds, receptive_field
from srlit.models.edsr import EDSR
from srlit.models.rrdb import RRDBNet
from srlit.models.spandrel import Spandrel
from srlit.models.unet import UNet
from tests.helpers import compose_config

MODELS = options("model")
# Their field takes a minute to measure; `python -m srlit.report model` does.
DEEP = {"rrdbnet", "two_stage", "spandrel"}


def test_numbers_known_by_hand():
    """Five 3x3 convolutions, 8 channels."""
    inner = [nn.Conv2d(8, 8, 3, 1, 1) for _ in range(3)]
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), *inner, nn.Conv2d(8, 3, 3, 1, 1))
    assert receptive_field(network, 64) == 11
    assert multiply_adds(network) == 64 * 64 * 9 * (3 * 8 + 3 * 8 * 8 + 8 * 3)
    # The image, and two layers of 8 channels while the second is made.
    assert activation_memory(network, 32) == (3 + 2 * 8) * 32 * 32 * 4
    assert all(p.device.type == "cpu" for p in network.parameters())


def test_depth_does_not_hide_what_is_seen():
    """The gradient itself would be 0 long before the edge of the field."""
    blocks = 6
    network = RRDBNet(scale=4, num_feat=8, num_block=blocks, num_grow_ch=4).eval()
    # 15 pixels a block, stem and end of the trunk; then 1/2, 1/4, 1/4 and 1/4 of a pixel.
    assert receptive_field(network, 512) in (2 * (15 * blocks + 2) + 3, 2 * (15 * blocks + 2) + 4)


def test_receptive_fields_known_by_hand():
    # Each block of EDSR sees two pixels further to each side, stem, body and end one.
    assert receptive_field(EDSR(scale=2, width=8, blocks=2), 64) == 1 + 2 * (1 + 2 * 2 + 1 + 1)
    attention = UNet(scale=2, width=16, head_blocks=1)
    assert receptive_field(attention, 64) is None, "it sees the whole image"


def test_a_network_that_rewrites_its_weights_is_measured_too():
    arguments = {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2}
    network = Spandrel(scale=2, architecture="SPAN", arguments=arguments).eval()
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        before = network(x)
        assert min(multiply_adds(network, 16), activation_memory(network, 16)) > 0
        assert torch.equal(network(x), before)


@pytest.mark.parametrize("name", MODELS)
def test_each_header_carries_its_card(name):
    """As `python -m srlit.report model` prints it."""
    own = CONF_DIR / "model" / f"{name}.yaml"
    shared = (CONF_DIR / "model" / "_options.yaml").read_text()
    header = own.read_text() if own.is_file() else shared.split(f"\n{name}:")[0][-300:]
    text = " ".join(header.split()).replace(" # ", " ")
    network = build(compose_config("train", f"model={name}").model).eval()
    parameters = sum(p.numel() for p in network.parameters())
    card = ModelCard(parameters, multiply_adds(network), None, activation_memory(network))
    numbers, memory = map(re.escape, card.text().split("the whole image"))
    [field] = re.findall(f"At x2: {numbers}(.*?){memory}", text)
    if name not in DEEP:
        pixels = receptive_field(network)
        assert field == ("the whole image" if pixels is None else f"{pixels} pixels")

"""Networks from files: none takes more memory than the file allows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from srlit.models.size_limit import MAX_COMPUTED_NUMBERS, build_within
from srlit.models.spandrel import architectures

BOMB = Path(os.environ.get("SRLIT_DATA", "nowhere")).parent / "cases" / "swin_bomb.pth"


class Net(nn.Module):
    def __init__(self, *, width=4, computed=4):
        super().__init__()
        rate = torch.linspace(0, 1, 3)[1].item()
        self.weight = nn.Parameter(torch.full((width,), rate))
        self.register_buffer("mask", torch.zeros(computed), persistent=False)
        self.register_buffer("none", None)


WEIGHTS = {"weight": torch.zeros(4)}


def test_a_network_that_fits_is_built_as_ever():
    network = build_within(WEIGHTS, Net)
    assert network.weight.tolist() == [0.5] * 4
    assert build_within(WEIGHTS, lambda: Net(computed=MAX_COMPUTED_NUMBERS)).mask.is_cpu


@pytest.mark.parametrize("change", [{"width": 5}, {"computed": 10**12}, {"width": 10**12}], ids=str)
def test_larger_ones_are_refused_before_they_take_memory(change):
    with pytest.raises(ValueError, match=r"weights in the file"):
        build_within(WEIGHTS, lambda: Net(**change))
    Net()  # no hook stays


def test_weights_that_share_memory_count_once():
    shared = WEIGHTS | {"more": torch.zeros(1).expand(10**9)}
    with pytest.raises(ValueError, match=r"weights in the file"):
        build_within(shared, lambda: Net(width=10**6))


LOAD = """
import resource, sys
from pathlib import Path
from srlit.models.load import load_generator
from srlit.checkpoint import CheckpointError
import spandrel
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_generator(Path(sys.argv[1]))
except CheckpointError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


@pytest.mark.skipif(not BOMB.is_file(), reason="needs the shared cases beside SRLIT_DATA")
def test_a_small_file_of_a_huge_network_is_refused():
    """0.65 MB of weights, whose names tell a SwinIR with 4.3 GB of buffers."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(BOMB)], capture_output=True, text=True, check=True
    )
    kilobytes, _, message = done.stdout.partition(" ")
    assert int(kilobytes) < 200_000
    assert message.startswith(f"{BOMB}: ")
    assert "buffers" in message


@pytest.mark.parametrize("name", ["DAT", "GRL", "HAT", "RCAN", "SCUNet", "SeemoRe", "UpCunet2x"])
def test_spandrels_networks_can_be_built_without_memory(name):
    """They read values, name the CPU, or compute tables where they are built."""
    architecture, make = architectures()[name]
    weights = make().state_dict()
    descriptor = build_within(weights, lambda: architecture.load(dict(weights)))
    assert all(torch.equal(weights[k], v) for k, v in descriptor.model.state_dict().items())

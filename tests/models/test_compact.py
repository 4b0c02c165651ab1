"""The compact network against spandrel's."""

import pytest
import torch

from srlit.models.compact import Compact


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_it_is_spandrels_network(scale, tmp_path):
    from spandrel import ModelLoader

    torch.manual_seed(scale)
    network = Compact(scale=scale, num_feat=12, num_conv=scale).eval()
    x = torch.rand(2, 3, 7, 10)
    torch.save({"params": network.state_dict()}, tmp_path / "ours.pth")
    theirs = ModelLoader().load_from_file(tmp_path / "ours.pth")
    assert (theirs.architecture.id, theirs.scale) == ("Compact", scale)
    with torch.no_grad():
        torch.testing.assert_close(theirs.model(x), network(x), rtol=1e-5, atol=1e-5)


def test_the_published_layout():
    # realesr-animevideov3: 621,424 parameters at x4.
    assert sum(p.numel() for p in Compact(scale=4).parameters()) == 621_424

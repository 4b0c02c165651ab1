"""Tables of tensors as other projects store them."""

import io
import pickle

import pytest
import torch
from safetensors.torch import save_file

from srlit.checkpoint import CheckpointError, load_weights

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def assert_loads(path):
    weights, card = load_weights(path, lambda table: len(table.keys() ^ WEIGHTS.keys()))
    assert card is None
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before PyTorch 1.6"])
@pytest.mark.parametrize(
    "stored",
    [
        WEIGHTS,
        {"params": WEIGHTS},
        {"params": {"x": torch.zeros(1)}, "params_ema": WEIGHTS},
        {"params_ema": None, "params": WEIGHTS},
        {"params_ema": {}, "params-ema": WEIGHTS},
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model_state_dict": {f"module.{name}": value for name, value in WEIGHTS.items()}},
    ],
    ids="-".join,
)
def test_wrappings(tmp_path, stored, legacy):
    path = tmp_path / "net.pth"
    torch.save(stored, path, _use_new_zipfile_serialization=not legacy)
    assert_loads(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_safetensors_by_its_content(tmp_path, suffix):
    save_file({f"module.{name}": value for name, value in WEIGHTS.items()}, tmp_path / f"a{suffix}")
    assert_loads(tmp_path / f"a{suffix}")


def test_what_weights_only_refuses_goes_through_spandrels_unpickler(tmp_path):
    """Here a name that old files have and PyTorch does not list."""
    buffer = io.BytesIO()
    torch.save({"params": WEIGHTS}, buffer, _use_new_zipfile_serialization=False)
    content = buffer.getvalue()
    content = content.replace(b"ccollections\nOrderedDict\n", b"ctyping\nOrderedDict\n")
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "net.pth", weights_only=True)
    assert_loads(tmp_path / "net.pth")


@pytest.mark.parametrize(
    "stored",
    [
        [torch.ones(2)],
        {"params": {}},
        {"a": 1, "b": torch.ones(1)},
        {"a": torch.zeros(10**6, device="meta")},
        {"a": torch.sparse_coo_tensor([[0]], [1.0], (10**9,))},
    ],
    ids=["list", "empty", "mixed", "meta", "sparse"],
)
def test_what_is_no_table_of_tensors_is_named(tmp_path, stored):
    torch.save(stored, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth"):
        load_weights(tmp_path / "a.pth")

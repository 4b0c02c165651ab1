import pytest
import torch

from srlit.ops.rows import apply_to_rows


@pytest.mark.parametrize("chosen", [[0, 0, 0], [1, 1, 1], [1, 0, 1]])
def test_only_the_chosen_samples_change(chosen):
    x = torch.rand(3, 3, 2, 2)
    chosen = torch.tensor(chosen, dtype=torch.bool)
    shift = torch.tensor([1.0, 2.0, 3.0])
    seen = []

    def add(part, params):
        seen.append(len(part))
        return part + params["shift"].view(-1, 1, 1, 1)

    result = apply_to_rows(chosen, add, x, {"shift": shift})
    expected = torch.where(chosen.view(-1, 1, 1, 1), x + shift.view(-1, 1, 1, 1), x)
    assert torch.equal(result, expected)
    assert seen == ([int(chosen.sum())] if chosen.any() else [])  # no more is computed on a CPU


def test_other_devices_compute_all_and_choose():
    """No GPU here: the meta device shows that nothing asks for a value."""
    x = torch.empty(3, 3, 2, 2, device="meta")
    chosen = torch.empty(3, dtype=torch.bool, device="meta")
    assert apply_to_rows(chosen, lambda part, _: part * 2, x, {}).shape == x.shape

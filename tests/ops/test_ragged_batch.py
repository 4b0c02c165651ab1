import pytest
import torch
import torch.nn.functional as F

from srlit.ops.ragged_batch import RaggedBatch, apply_to_rows, extend
from tests.elsewhere import elsewhere, here


def shifted(part, params):
    return part.map(lambda x, row: x + row["shift"].view(-1, 1, 1, 1), params)


@pytest.mark.parametrize("chosen", [[0, 0, 0], [1, 1, 1], [1, 0, 1]])
def test_only_the_chosen_samples_change(chosen):
    x = torch.rand(3, 3, 2, 2)
    before = x.clone()
    chosen = torch.tensor(chosen, dtype=torch.bool)
    shift = torch.tensor([1.0, 2.0, 3.0])
    seen = []

    def add(part, params):
        seen.append(len(part.pixels))
        return shifted(part, params)

    expected = torch.where(chosen.view(-1, 1, 1, 1), x + shift.view(-1, 1, 1, 1), x)
    result = apply_to_rows(chosen, add, RaggedBatch.of(x), {"shift": shift})
    assert torch.equal(result.pixels, expected)
    assert seen == ([int(chosen.sum())] if chosen.any() else [])  # no more is computed on a CPU
    assert torch.equal(x, before)  # what the caller holds is never written to
    other = apply_to_rows(chosen, shifted, RaggedBatch.of(elsewhere(x)), {"shift": shift})
    assert torch.equal(here(other.pixels), expected)


def halved(part, params):
    """The first sample's size halves; by nearest pixels, in the corner of the batch."""
    sizes = part.own_sizes() // 2
    pixels = torch.zeros_like(part.pixels)
    pixels[..., :2, :2] = part.pixels[..., ::2, ::2]
    return RaggedBatch(pixels, part.hr, sizes, (2, 2))


def test_samples_of_different_sizes_share_a_canvas():
    x = torch.rand(2, 3, 4, 4)
    chosen = torch.tensor([True, False])
    for pixels in (x, elsewhere(x)):
        mixed = apply_to_rows(chosen, halved, RaggedBatch.of(pixels), {})
        assert mixed.sizes.tolist() == [[2, 2], [4, 4]]
        assert mixed.min_size == (2, 2)
        blurred = mixed.map(
            lambda y, _: F.avg_pool2d(F.pad(y, (1, 1, 1, 1), "replicate"), 3, 1), {}
        )
        for i, (h, w) in enumerate(mixed.sizes.tolist()):
            own = here(mixed.pixels)[i : i + 1, :, :h, :w]
            expected = F.avg_pool2d(F.pad(own, (1, 1, 1, 1), mode="replicate"), 3, 1)
            torch.testing.assert_close(here(blurred.pixels)[i : i + 1, :, :h, :w], expected)


def test_the_border_is_repeated_beyond_each_sample():
    x = torch.arange(9.0).view(1, 1, 3, 3).repeat(2, 1, 1, 1)
    extended = extend(x, torch.tensor([[2, 1], [3, 3]]))
    assert extended[0, 0].tolist() == [[0, 0, 0], [3, 3, 3], [3, 3, 3]]
    assert torch.equal(extended[1], x[1])

import torch

from srlit.degradation.stages.quantise import Quantise
from tests.degradation.sampling import apply


def test_quantise_rounds_to_8_bits():
    x = torch.tensor([-0.2, 0.5001, 1.7]).view(1, 3, 1, 1)
    expected = torch.tensor([0.0, 128 / 255, 1.0])
    torch.testing.assert_close(apply(Quantise(), x, {}).flatten(), expected)

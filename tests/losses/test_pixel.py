import math

import torch

from srlit.losses.charbonnier import Charbonnier

SR = torch.tensor([0.5, 0.7, 0.2, 1.0]).view(1, 1, 2, 2).expand(2, 3, 2, 2)
HR = torch.tensor([0.4, 0.4, 0.4, 0.4]).view(1, 1, 2, 2).expand(2, 3, 2, 2)


def test_charbonnier_by_hand():
    expected = sum(math.sqrt(d * d + 0.04) for d in (0.1, 0.3, 0.2, 0.6)) / 4
    assert math.isclose(Charbonnier(epsilon=0.2)(SR, HR), expected, rel_tol=1e-6)

import pytest
import torch
from scipy import ndimage

from srlit.degradation.kernels import Plateau
from srlit.degradation.stages.blur import Blur
from tests.degradation.sampling import FAMILIES, apply, rows


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_blurs_as_scipy_does_and_differently_for_each_sample(photo, name):
    x = (photo[..., :48, :64].float() / 255).expand(4, -1, -1, -1)
    family = FAMILIES[name]
    assert family.name == name
    blur = Blur(kernels=[family])
    params = blur.sample(rows(4))
    kernels = family.kernels(params, family.size)
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(4))
    assert not torch.equal(kernels[0], kernels[1])
    ours = apply(blur, x, params)
    for i in range(4):
        reference = ndimage.correlate(x[i, 1].numpy(), kernels[i].numpy(), mode="nearest")
        torch.testing.assert_close(ours[i, 1], torch.from_numpy(reference), atol=3e-6, rtol=0)


def test_half_of_the_plateaus_of_real_esrgan_have_beta_1():
    beta = Plateau(sizes=[7], sigma=[1, 2], beta=[1, 2]).sample(rows(2000))["beta"]
    assert abs((beta == 1).float().mean() - 0.5) < 0.04
    assert beta.max() > 1.95


def test_what_was_drawn_before_does_not_change_a_type():
    """Tables are kept by their numbers and their type: 3.0 is no kernel size."""
    weighted = Blur(kernels=[FAMILIES["box"], FAMILIES["gaussian"]], weights=[3.0, 2.0])
    weighted.sample(rows(4))
    assert FAMILIES["box"].sample(rows(4))["support"].dtype == torch.int64

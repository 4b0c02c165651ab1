import torch

from srlit.degradation.stages.blur import Blur
from tests.degradation.sampling import FAMILIES, rows


def test_blur_draws_all_families_by_their_weights():
    blur = Blur(kernels=list(FAMILIES.values()), weights=[8, 4, 4, 4, 4, 4, 2, 2])
    params = blur.sample(rows(3200))
    assert blur.names["family"] == list(FAMILIES)
    share = torch.bincount(params["family"], minlength=8) / 100
    torch.testing.assert_close(share, torch.tensor([8.0, 4, 4, 4, 4, 4, 2, 2]), rtol=0.2, atol=0)
    # A family's parameters are drawn for its own samples and absent from the others.
    is_sinc = params["family"] == 5
    assert torch.equal(~params["cutoff"].isnan(), is_sinc)
    assert set(params["support"][is_sinc].tolist()) == {7, 21}
    assert set(params["support"][params["family"] == 6].tolist()) == {0}
    # Half of the betas below 1, half above.
    beta = params["beta"][params["family"] == 3]
    assert abs((beta < 1).float().mean() - 0.5) < 0.1
    isotropic = params["family"] == 4
    assert torch.equal(params["sigma_x"][isotropic], params["sigma_y"][isotropic])

import pytest
import torch
from skimage.metrics import structural_similarity

from srlit.losses.ms_ssim import MultiScaleSSIM
from srlit.losses.ssim import SSIM
from srlit.ops.similarity import ms_ssim


def test_ssim_is_scikit_images(photo):
    hr = photo[..., :60, :50].float() / 255
    sr = hr.flip(-1)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pair = (image[0].double().numpy() for image in (sr, hr))
    expected = structural_similarity(*pair, channel_axis=0, data_range=1.0, **options)
    assert float(SSIM()(sr, hr)) == pytest.approx(1 - expected, abs=1e-5)


def test_ms_ssim_has_the_papers_scales(photo):
    hr = photo[..., :176, :176].float() / 255
    sr = (hr + 0.1).sqrt()
    torch.testing.assert_close(MultiScaleSSIM()(sr, hr), 1 - ms_ssim(sr, hr)[0])
    with pytest.raises(ValueError, match=r"got 175x176 pixels, .*176x176: raise data.patch_size"):
        MultiScaleSSIM()(sr[..., 1:, :], hr[..., 1:, :])

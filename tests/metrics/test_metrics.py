import lpips
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srlit.metrics.planes import to_8_bit
from srlit.metrics.suite import MetricSuite
from srlit.perceptual.lpips import LPIPS_NETS, load_lpips

NAMES = ["psnr_rgb_b0", "psnr_y_b4", "ssim_rgb_b0", "ssim_y_b2", "mae"]


@pytest.fixture
def pair(photo):
    """Two different crops of a photo and noisy copies, on the 8-bit grid."""
    hr = torch.cat([photo[..., :120, :90], photo[..., 100:220, 200:290]]).float() / 255
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return to_8_bit(hr + 0.05 * noise), hr


def luma(image):
    return rgb2ycbcr(image.permute(1, 2, 0).double().numpy())[..., 0] / 255


def test_psnr_and_ssim_agree_with_scikit_image(pair):
    sr, hr = pair
    ours = MetricSuite(names=NAMES)(sr, hr)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for i in range(2):
        a, b = sr[i].double().numpy(), hr[i].double().numpy()
        ya, yb = luma(sr[i]), luma(hr[i])
        expected = (
            peak_signal_noise_ratio(b, a, data_range=1.0),
            peak_signal_noise_ratio(yb[4:-4, 4:-4], ya[4:-4, 4:-4], data_range=1.0),
            structural_similarity(a, b, channel_axis=0, data_range=1.0, **window),
            structural_similarity(ya[2:-2, 2:-2], yb[2:-2, 2:-2], data_range=1.0, **window),
            np.abs(a - b).mean(),
        )
        assert [float(ours[name][i]) for name in NAMES] == pytest.approx(expected, abs=1e-6)


def test_autocast_changes_no_metric(pair):
    """Lightning validates under autocast; SSIM's variances would drown in half precision."""
    suite = MetricSuite(names=NAMES)
    plain = suite(*pair)
    with torch.autocast("cpu", torch.bfloat16):
        cast = suite(*pair)
    assert all(torch.equal(plain[name], cast[name]) for name in NAMES)


def test_the_image_is_measured_as_a_file_would_keep_it(pair):
    sr, hr = pair
    suite = MetricSuite(names=["psnr_rgb_b0"])
    outside = torch.where(sr > 0.99, sr + 0.4, sr) + 0.3 / 255
    assert torch.equal(*(suite(x, hr)["psnr_rgb_b0"] for x in (outside, to_8_bit(outside))))


def test_lpips_has_the_known_answers(shared_weights):
    """The docstring example of torchmetrics' LPIPS: seed 42, squeeze."""
    generator = torch.Generator().manual_seed(42)
    sr, hr = (torch.rand(2, 3, 100, 100, generator=generator) for _ in range(2))
    found = load_lpips("squeeze", str(shared_weights))(sr, hr)
    torch.testing.assert_close(found, torch.tensor([0.1024, 0.0938]), atol=5e-5, rtol=0)


@pytest.mark.parametrize("net", ["alex", "squeeze", "vgg"])
def test_lpips_is_that_of_the_lpips_package(net, request, pair):
    """With the same features: real ones of two networks, random ones of VGG16."""
    folder = str(request.getfixturevalue("vgg16_folder" if net == "vgg" else "shared_weights"))
    theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    state = load_file(f"{folder}/{LPIPS_NETS[net][0]}_features.safetensors")
    theirs.net.load_state_dict(
        {name: state["features." + name.split(".", 1)[1]] for name in theirs.net.state_dict()}
    )
    with torch.no_grad():
        expected = theirs(*pair, normalize=True).flatten()
    assert expected.min() > 1e-3
    torch.testing.assert_close(load_lpips(net, folder)(*pair), expected, atol=1e-5, rtol=0)

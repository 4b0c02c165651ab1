import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srlit.metrics.precision import to_8_bit
from srlit.metrics.ranking import SelectionRule
from srlit.metrics.suite import MetricSuite
from tests.helpers import no_network

NAMES = ["psnr_rgb_b0", "psnr_y_b4", "ssim_rgb_b0", "ssim_y_b2", "mae"]


@pytest.fixture
def pair(photo):
    """Two different crops of a photo and noisy copies, on the 8-bit grid."""
    hr = torch.cat([photo[..., :120, :90], photo[..., 100:220, 200:290]]).float() / 255
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return to_8_bit(hr + 0.05 * noise), hr


def luma(image):
    from skimage.color import rgb2ycbcr

    return rgb2ycbcr(image.permute(1, 2, 0).double().numpy())[..., 0] / 255


def test_psnr_and_ssim_agree_with_scikit_image(pair):
    sr, hr = pair
    ours = MetricSuite(names=NAMES)(sr, hr)
    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 1.0,
    }
    for i in range(2):
        a, b = sr[i].double().numpy(), hr[i].double().numpy()
        ya, yb = luma(sr[i]), luma(hr[i])
        psnr = peak_signal_noise_ratio(b, a, data_range=1.0)
        psnr_y = peak_signal_noise_ratio(yb[4:-4, 4:-4], ya[4:-4, 4:-4], data_range=1.0)
        ssim = structural_similarity(a, b, channel_axis=0, **options)
        ssim_y = structural_similarity(ya[2:-2, 2:-2], yb[2:-2, 2:-2], **options)
        assert math.isclose(ours["psnr_rgb_b0"][i], psnr, abs_tol=1e-6)
        assert math.isclose(ours["psnr_y_b4"][i], psnr_y, abs_tol=1e-6)
        assert math.isclose(ours["ssim_rgb_b0"][i], ssim, abs_tol=1e-6)
        assert math.isclose(ours["ssim_y_b2"][i], ssim_y, abs_tol=1e-6)
        assert math.isclose(ours["mae"][i], np.abs(a - b).mean(), abs_tol=1e-6)


def test_autocast_changes_no_metric(pair):
    """Lightning validates under autocast; SSIM's variances would drown in half precision."""
    suite = MetricSuite(names=NAMES)
    plain = suite(*pair)
    with torch.autocast("cpu", torch.bfloat16):
        cast = suite(*pair)
    assert all(torch.equal(plain[name], cast[name]) for name in NAMES)


def test_an_image_is_measured_the_same_alone_and_in_a_batch(pair):
    suite = MetricSuite(names=NAMES)
    both, alone = suite(*pair), suite(pair[0][1:], pair[1][1:])
    for name in NAMES:
        torch.testing.assert_close(both[name][1:], alone[name])


def test_the_image_is_measured_as_a_file_would_keep_it(pair):
    sr, hr = pair
    suite = MetricSuite(names=["psnr_rgb_b0"])
    outside = torch.where(sr > 0.99, sr + 0.4, sr) + 0.3 / 255
    assert torch.equal(
        suite(outside, hr)["psnr_rgb_b0"], suite(to_8_bit(outside), hr)["psnr_rgb_b0"]
    )


def test_lpips_has_the_known_answers(shared_weights):
    """The docstring example of torchmetrics' LPIPS: seed 42, squeeze."""
    from srlit.perceptual.lpips import load_lpips

    generator = torch.Generator().manual_seed(42)
    sr = torch.rand(2, 3, 100, 100, generator=generator)
    hr = torch.rand(2, 3, 100, 100, generator=generator)
    found = load_lpips("squeeze", str(shared_weights))(sr, hr)
    torch.testing.assert_close(found, torch.tensor([0.1024, 0.0938]), atol=5e-5, rtol=0)


@pytest.mark.parametrize("net", ["alex", "squeeze", "vgg"])
def test_lpips_is_that_of_the_lpips_package(net, request, pair):
    """With the same features: real ones of two networks, random ones of VGG16."""
    import lpips

    from srlit.perceptual.lpips import LPIPS_NETS, load_lpips

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


def test_an_untrained_backbone_never_passes_as_lpips(tmp_path, monkeypatch, pair, caplog):
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("srlit.perceptual.backbones.torchvision_state", no_network)
    suite = MetricSuite(names=["lpips_alex"], weights_dir=str(tmp_path), allow_untrained=True)
    assert suite.names == ["lpips_alex_untrained"]
    assert suite.reported_name("lpips_alex") == "lpips_alex_untrained"
    assert "UNTRAINED" in caplog.text
    assert set(suite(*pair)) == {"lpips_alex_untrained"}


ROWS = [
    {"lpips_alex": 0.20, "psnr_rgb_b0": 23.0, "id": 0},
    {"lpips_alex": 0.25, "psnr_rgb_b0": 25.0, "id": 1},
    {"lpips_alex": 0.22, "psnr_rgb_b0": 24.5, "id": 2},
    {"lpips_alex": float("nan"), "psnr_rgb_b0": 26.0, "id": 3},
]


def ranked(**rule):
    return [row["id"] for row in SelectionRule(**rule).rank(ROWS)]


def test_ranking():
    assert ranked(metric="lpips_alex") == [0, 2, 1, 3]
    assert ranked(metric="psnr_rgb_b0") == [3, 1, 2, 0]
    assert ranked(metric="lpips_alex", minimum={"psnr_rgb_b0": 24.0}) == [2, 1, 0, 3]
    assert ranked(metric="psnr_rgb_b0", minimum={"lpips_alex": 0.23}) == [2, 0, 3, 1]


def test_a_rule_says_what_it_is_and_refuses_unknown_directions():
    rule = SelectionRule(metric="lpips_alex", minimum={"psnr_rgb_b0": 24})
    assert rule.describe() == "lowest lpips_alex with psnr_rgb_b0 >= 24"
    with pytest.raises(ValueError, match="'sharpness'"):
        SelectionRule(metric="sharpness")

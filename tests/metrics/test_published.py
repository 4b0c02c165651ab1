"""Published values, and those of other packages, recorded."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from srlit.metrics.suite import MetricSuite
from srlit.ops.resize import imresize


def read(path):
    return tensor(np.array(Image.open(path).convert("RGB")))


def tensor(pixels):
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None].contiguous() / 255


@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_bicubic_on_set5_has_its_published_psnr(shared_data, scale, published):
    """On luma, without a border of the scale, as in every paper since SRCNN (2014)."""
    name = f"psnr_y_b{scale}"
    suite = MetricSuite(names=[name])
    folder = shared_data / "set5" / f"x{scale}"
    values = [
        float(suite(imresize(read(folder / "LR" / path.name), scale), read(path))[name])
        for path in sorted((folder / "HR").iterdir())
    ]
    assert len(values) == 5
    assert sum(values) / 5 == pytest.approx(published, abs=0.02)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_what_matlab_shrunk_is_consistent_to_the_bit(shared_data, scale):
    suite = MetricSuite(names=["lr_psnr_rgb_b0"])
    folder = shared_data / "set5" / f"x{scale}"
    for path in sorted((folder / "HR").iterdir()):
        hr, lr = read(path), read(folder / "LR" / path.name)
        assert suite(hr, hr, lr)["lr_psnr_rgb_b0"] == float("inf"), path.name
        levels = torch.full_like(lr, 1 / 255) * (lr < 0.5)
        expected = -10 * torch.log10((levels**2).mean())
        found = suite(hr, hr, lr + levels)["lr_psnr_rgb_b0"].float()[0]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


# Recorded with basicsr 1.4.2:
#     pip install --no-deps --no-build-isolation --target PEERS basicsr==1.4.2 \
#         opencv-python-headless lmdb
#     sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms.functional
#     from basicsr.metrics import calculate_niqe, calculate_psnr, calculate_ssim
#     a, b = (image.astype(np.uint8)[..., ::-1] for image in pair(photo))
#     calculate_psnr(a, b, border, test_y_channel=True)
#     calculate_ssim(a, b, border, test_y_channel=True)
#     calculate_niqe(a, border), calculate_niqe(b, border)
BASICSR = {
    ("astronaut", 0): (31.08986223, 0.95904866, 3.41324341, 3.06460685),
    ("astronaut", 4): (31.46715916, 0.95859355, 3.46986289, 2.99051164),
    ("chelsea", 0): (35.18574398, 0.95421882, 3.25116015, 2.62553641),
    ("chelsea", 4): (35.61071558, 0.95341758, 3.39677319, 2.68931533),
}


def pair(photo):
    """A photo with fewer levels, blurred along its rows, and the photo."""
    hr = getattr(skimage.data, photo)().astype(np.int64)
    return (hr // 8 * 8 + np.roll(hr, 1, 1)) // 2, hr


@pytest.mark.parametrize(("photo", "border"), BASICSR)
def test_psnr_ssim_and_niqe_are_basicsrs(photo, border):
    """NIQE to 4e-3: BasicSR filters in float32 and mirrors the border when it shrinks."""
    names = [f"{kind}_y_b{border}" for kind in ("psnr", "ssim", "niqe")]
    sr, hr = (tensor(image) for image in pair(photo))
    suite = MetricSuite(names=names)
    psnr, ssim, niqe_sr, niqe_hr = BASICSR[photo, border]
    found = [float(value) for value in suite(sr, hr).values()]
    assert found[:2] == pytest.approx([psnr, ssim], abs=1e-6)
    assert found[2] == pytest.approx(niqe_sr, abs=4e-3)
    assert float(suite(hr, hr)[names[2]]) == pytest.approx(niqe_hr, abs=4e-3)

import io

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.data.decode import read_photo
from srlit.data.detect_upscaled import looks_upscaled, upscaled_score

KERNELS = [Image.Resampling[name] for name in ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS")]


@pytest.fixture(scope="module")
def images(shared_data):
    paths = sorted(shared_data.glob("bsd100/*.png"))[::4]
    paths += sorted(shared_data.glob("bsds400/*.jpg"))[::8]
    return [Image.fromarray(read_photo(path).permute(1, 2, 0).numpy()) for path in paths]


def pixels_of(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def rate(images, as_saved=lambda image: image):
    return np.mean([looks_upscaled(pixels_of(as_saved(image))) for image in images])


def as_jpeg(image, quality=90):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def whole(image, factor, kernel):
    return image.resize((image.width * factor, image.height * factor), kernel)


def test_untouched_photos_are_rarely_flagged(images):
    assert rate(images) <= 0.02
    assert rate(images, lambda image: as_jpeg(image, 75)) <= 0.02
    assert rate(images, lambda image: as_jpeg(image, 30)) <= 0.02


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_upscaled_photos_are_found(images, factor, kernel):
    some = [whole(image, factor, kernel) for image in images[::3]]
    assert rate(some) >= 0.97
    assert rate(some, as_jpeg) >= 0.94


def test_nearly_all_bicubic_x2_photos_are_found(images):
    assert rate([whole(image, 2, Image.Resampling.BICUBIC) for image in images]) >= 0.95


def test_the_score_does_not_depend_on_orientation(photo):
    score = upscaled_score(photo[0])
    assert 0 < score < 0.8
    assert upscaled_score(photo[0].transpose(1, 2).flip(1)) == pytest.approx(score, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (63, 500), (64, 64), (5, 4096), (513, 900)])
def test_flat_tiny_and_noisy_images_are_not_flagged(shape):
    assert not looks_upscaled(torch.full((3, *shape), 90, dtype=torch.uint8))
    noise = torch.randint(
        0, 256, (3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    assert not looks_upscaled(noise)

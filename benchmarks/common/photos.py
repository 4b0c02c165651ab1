"""Photos to measure with: those that SRLIT_DATA names, and scikit-image's."""

import os
from pathlib import Path

from srlit.data.image_folder import SamplePhotos

SAMPLES = (
    "coffee.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png", "retina.jpg", "ihc.png",
    "hubble_deep_field.jpg", "camera.png", "brick.png", "grass.png", "gravel.png", "moon.png",
    "chelsea.png", "coins.png",
)  # fmt: skip


def data_folder() -> Path | None:
    """What SRLIT_DATA names."""
    name = os.environ.get("SRLIT_DATA")
    return Path(name) if name else None


def photos_of(name: str) -> list[Path]:
    """The photos of a data set in the folder that SRLIT_DATA names; none where it is missing."""
    folder = data_folder()
    found = sorted((folder / name).glob("*")) if folder else []
    return [path for path in found if path.suffix in {".jpg", ".png"}]


def sample_photos() -> list[Path]:
    """Scikit-image's."""
    return SamplePhotos(train_names=SAMPLES, val_names=[], test_names=[]).split("train")

"""Fixtures: shapes are checked at run time, real photos and weights come from the environment."""

import logging
import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401 - found by name below

# Every annotated shape is checked while the tests run; this must precede the imports.
CHECKED = (
    "ops", "perceptual", "models", "losses", "metrics", "degradation", "data", "phases",
    "inference", "evaluation", "reports",
)  # fmt: skip
install_import_hook([f"srlit.{name}" for name in CHECKED], "tests.typecheck.typechecker")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

torch.set_num_threads(2)


def _folder(variable: str, wanted: str) -> Path:
    folder = os.environ.get(variable)
    if not folder or not Path(folder, wanted).exists():
        pytest.skip(f"{variable} names no folder with {wanted}")
    return Path(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of photos; skips where it is missing."""
    return _folder("SRLIT_DATA", "bsd100")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of pretrained backbones; skips where it is missing."""
    return _folder("SRLIT_WEIGHTS", "alexnet_features.safetensors")


@pytest.fixture(scope="session")
def vgg16_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a VGG16 of random values, as no real one is at hand."""
    from safetensors.torch import save_file
    from torchvision.models import vgg16

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(
        {f"features.{k}": v for k, v in vgg16(weights=None).features.state_dict().items()},
        folder / "vgg16_features.safetensors",
    )
    return str(folder)


@pytest.fixture
def photo() -> torch.Tensor:
    """A real photo, (1, 3, 300, 451), uint8."""
    import skimage

    pixels = np.array(Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


@pytest.fixture
def photo_folder(tmp_path: Path, photo: torch.Tensor) -> Path:
    """Twelve different small photos in a folder, as PNG."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        part = photo[0, :, 10 * i : 10 * i + 96, 20 * i : 20 * i + 120]
        Image.fromarray(part.permute(1, 2, 0).numpy()).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three checkpoints, made once; tests leave its checkpoints as they are."""
    from srlit.train import train
    from tests.helpers import TINY_TRAINING, compose_config

    runs = tmp_path_factory.mktemp("runs")
    train(
        compose_config("train", *TINY_TRAINING, "iterations=3", "name=tiny", f"paths.runs={runs}")
    )
    return runs / "tiny"


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How hard to try."""
    parser.addoption("--kills", type=int, default=5, help="SIGKILLs at random moments")

"""A VGG16, of which no weights are at hand."""

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import vgg16


@pytest.fixture(scope="session")
def vgg16_folder(tmp_path_factory):
    """A file of torchvision's layout with random values."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(
        {f"features.{k}": v for k, v in vgg16(weights=None).features.state_dict().items()},
        folder / "vgg16_features.safetensors",
    )
    return str(folder)

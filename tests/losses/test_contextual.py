"""The contextual loss against its definition, one feature after the other."""

import numpy as np
import pytest
import torch
from numpy.linalg import norm

from srlit.losses.contextual import Contextual, contextual_similarity
from srlit.perceptual.backbones import load_backbone


def by_definition(sr, hr, bandwidth):
    """Eq. 1 to 4 of Mechrez et al. 2018, of features (c, h, w)."""
    own, target = (x.reshape(len(x), -1).T for x in (sr, hr))
    own, target = own - target.mean(0), target - target.mean(0)
    distances = np.array([[1 - a @ b / norm(a) / norm(b) for b in target] for a in own])
    relative = distances / (distances.min(1, keepdims=True) + 1e-5)
    w = np.exp((1 - relative) / bandwidth)
    return (w / w.sum(1, keepdims=True)).max(0).mean()


@pytest.mark.parametrize("bandwidth", [0.1, 0.5])
def test_similarity_by_definition(bandwidth):
    torch.manual_seed(0)
    sr, hr = torch.rand(2, 5, 3, 4), torch.rand(2, 5, 3, 4)
    pairs = zip(sr.double().numpy(), hr.double().numpy(), strict=True)
    expected = [by_definition(a, b, bandwidth) for a, b in pairs]
    found = contextual_similarity(sr, hr, bandwidth)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-3)


def test_features_may_lie_elsewhere_but_must_be_there():
    torch.manual_seed(0)
    hr = torch.rand(1, 16, 4, 4)
    moved = hr.flatten(2)[..., torch.randperm(16)].view_as(hr)
    assert float(contextual_similarity(moved, hr, 0.5)) > 0.99
    assert float(contextual_similarity(hr[..., :1, :1].expand_as(hr), hr, 0.5)) < 0.2


def test_the_loss_is_minus_the_logarithm_over_layers(vgg16_folder, photo):
    layers = {"relu2_2": 0.5, "conv3_3": 2.0}
    hr = torch.cat([photo[..., :32, :32], photo[..., 50:82, 90:122]]) / 255
    torch.manual_seed(0)
    sr = hr + 0.1 * torch.randn(hr.shape)
    loss = Contextual(net="vgg16", layers=layers, bandwidth=0.4, weights_dir=vgg16_folder)
    backbone = load_backbone("vgg16", vgg16_folder)
    found, target = backbone(sr, layers), backbone(hr, layers)
    expected = sum(
        -weight * contextual_similarity(found[name], target[name], 0.4).log().mean()
        for name, weight in layers.items()
    )
    torch.testing.assert_close(loss(sr, hr), expected, rtol=1e-4, atol=0)

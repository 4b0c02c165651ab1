"""Spectra by NumPy, and by hand where one wave is all that differs."""

import math

import numpy as np
import pytest
import torch

from srlit.losses.focal_frequency import FocalFrequency
from srlit.losses.fourier_l1 import FourierL1


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.rand(2, 3, 12, 10), torch.rand(2, 3, 12, 10)


def spectra(pair):
    return [np.fft.fft2(image.double().numpy(), norm="ortho") for image in pair]


def test_fourier_l1_by_numpy(pair):
    sr, hr = spectra(pair)
    expected = (np.abs((sr - hr).real).mean() + np.abs((sr - hr).imag).mean()) / 2
    assert float(FourierL1()(*pair)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_focal_frequency_by_numpy(pair, alpha):
    sr, hr = spectra(pair)
    distance = np.abs(sr - hr)
    weight = distance**alpha / (distance**alpha).max((2, 3), keepdims=True)
    expected = (weight * distance**2).mean()
    assert float(FocalFrequency(alpha=alpha)(*pair)) == pytest.approx(expected, rel=1e-5)


def test_without_focus_it_is_the_mean_squared_difference(pair):
    """Parseval."""
    sr, hr = pair
    torch.testing.assert_close(FocalFrequency(alpha=0.0)(sr, hr), (sr - hr).square().mean())


def test_one_wave_by_hand():
    """A cosine of amplitude a is two numbers a / 2 * sqrt(h w) in an orthonormal spectrum."""
    wave = 0.2 * torch.cos(2 * math.pi * 3 * torch.arange(16.0) / 16)
    sr = wave.expand(1, 3, 8, 16)
    hr = torch.zeros_like(sr)
    peak = 0.1 * math.sqrt(8 * 16)
    assert float(FocalFrequency()(sr, hr)) == pytest.approx(2 * peak**2 / 128, rel=1e-4)
    assert float(FourierL1()(sr, hr)) == pytest.approx(2 * peak / 256, rel=1e-3)


def test_the_weight_has_no_gradient(pair):
    """It is 2 w (sr - hr) in the spectrum, by the chain rule without the weight's own change."""
    sr, hr = pair[0].clone().requires_grad_(), pair[1]
    FocalFrequency()(sr, hr).backward()
    difference = torch.fft.fft2(sr.detach() - hr, norm="ortho")
    weight = difference.abs() / difference.abs().amax((2, 3), keepdim=True)
    expected = torch.fft.ifft2(2 * weight * difference, norm="ortho").real / sr.numel()
    torch.testing.assert_close(sr.grad, expected, rtol=1e-4, atol=1e-8)

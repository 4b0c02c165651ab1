import torch

from srlit.degradation.preview import figure_pixels, histograms, severities, severity_row
from srlit.ops.rng import make_keys
from tests.degradation.sampling import preset


def test_severities_go_from_mild_to_harsh(photo):
    hr = photo[..., :128, :160].float() / 255
    found = severities(preset("blind"), hr, columns=4)
    values = [psnr for psnr, _ in found]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] + 1
    assert found[0][1].shape == (3, 64, 80)
    row = severity_row(preset("blind"), hr, columns=4)
    assert row.shape[2] == 5 * 160 + 4 * 4


def test_every_drawn_parameter_has_a_plot():
    degradation = preset("bsrgan")
    figure = histograms(degradation, degradation.sample(make_keys(0, (), torch.arange(200))))
    titles = {axis.get_title() for axis in figure.axes if axis.get_title()}
    assert {"shuffled.order", "jpeg.quality", "shuffled.shrink.choice"} <= titles
    assert not any(title.endswith(("key", "mixing")) for title in titles)
    pixels = figure_pixels(figure)
    assert pixels.shape[0] == 3
    assert 0 < pixels.mean() < 1


def test_a_preset_without_draws_has_no_plot():
    degradation = preset("bicubic")
    figure = histograms(degradation, degradation.sample(torch.arange(3)))
    assert not any(axis.get_title() for axis in figure.axes)

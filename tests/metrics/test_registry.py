"""Invariants of every metric with one value per image, found in the registry."""

from itertools import product

import pytest
import torch

from srlit.metrics.planes import to_8_bit
from srlit.metrics.ranking import SelectionRule
from srlit.metrics.registry import PARAMETER, Metric, higher_is_better, metric_named, protocols
from srlit.metrics.suite import MetricSuite
from srlit.ops.resize import imresize, shrink
from srlit.perceptual.dists import DISTSDistance
from srlit.perceptual.lpips import LPIPSDistance
from tests.helpers import no_network

# Small parameters for the forms' numbers.
NUMBERS = {"border": ("0", "4"), "sigma": ("8",)}
KINDS = {form: each.kind for form, each in protocols().items() if issubclass(each.kind, Metric)}


def names_of(form):
    """Names of a form: every word of its parameters, and some numbers."""
    for values in product(
        *(m[2].split("|") if m[2] else NUMBERS[m[1]] for m in PARAMETER.finditer(form))
    ):
        yield PARAMETER.sub("{}", form).format(*values)


# No pretrained AlexNet or SqueezeNet is at hand everywhere: they have a test of their own.
IDEAL = {
    name: kind.ideal
    for form, kind in KINDS.items()
    for name in names_of(form)
    if name not in {"lpips_alex", "lpips_squeeze"}
}
NAMES = list(IDEAL)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def suite(name, vgg16_folder):
    return MetricSuite(names=[name], weights_dir=vgg16_folder)


@pytest.fixture
def hr(photo, request):
    """Crops no larger than need be."""
    name = request.getfixturevalue("name") if "name" in request.fixturenames else ""
    h, w = (210, 220) if name.startswith(("ms_ssim", "niqe")) else (66, 72)
    return torch.cat([photo[..., i : i + h, 2 * i : 2 * i + w] for i in (0, 50, 90)]) / 255


@pytest.fixture
def lr(hr):
    return imresize(hr, 1 / 2)


def worse(hr, amount):
    """Paler, and noisy."""
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return to_8_bit(hr + amount * (0.5 - hr) + amount * noise)


def test_a_name_tells_class_and_parameters(vgg16_folder):
    for form, kind in KINDS.items():
        for name in names_of(form):
            metric = metric_named(name, vgg16_folder, allow_untrained=True)
            assert type(metric) is kind, name


@pytest.mark.parametrize(
    "name", ["psnr", "psnr_yuv_b0", "psnr_y_b04", "lowfreq_mae_s0", "lpips_resnet"]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=rf"metrics\.names has '{name}'"):
        metric_named(name, None, allow_untrained=False)


def test_a_metric_of_the_users_own_is_measured_and_ranked(hr):
    class Contrast(Metric):
        higher_is_better = True
        ideal = 1.0

        def compare(self, sr, hr):
            return sr.std((1, 2, 3)) / hr.std((1, 2, 3))

    suite = MetricSuite(names=["mae"], own={"contrast": Contrast()})
    assert suite.names == ["mae", "contrast"]
    torch.testing.assert_close(suite(hr, hr)["contrast"], torch.ones(3))
    rows = [{"contrast": 0.2}, {"contrast": 0.9}]
    assert SelectionRule(metric="contrast").rank(rows) == rows[::-1]


def test_equal_images_have_the_ideal_value(name, suite, hr, lr):
    if IDEAL[name] is None:
        pytest.skip("it looks at no target")
    found = suite(hr, hr, lr)[name]
    expected = torch.full_like(found, IDEAL[name])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_what_is_worse_is_worse_in_the_direction_that_selection_knows(name, suite, hr, lr):
    targets = suite.against(hr, lr)
    mild, harsh = targets(worse(hr, 0.02))[name], targets(worse(hr, 0.2))[name]
    assert ((mild > harsh) if higher_is_better(name) else (mild < harsh)).all()
    assert harsh.isfinite().all()


def test_neither_order_nor_batch_mates_matter(name, suite, hr, lr):
    sr, targets = worse(hr, 0.05), suite.against(hr, lr)
    together = suite(sr, hr, lr)[name]
    assert all(torch.equal(targets(sr)[name], together) for _ in range(2))  # kept targets stay
    assert len(set(together.tolist())) == 3
    order = torch.tensor([2, 0, 1])
    turned = suite(sr[order], hr[order], lr[order])[name]
    torch.testing.assert_close(turned, together[order], rtol=1e-5, atol=1e-6)
    alone = suite(sr[1:2], hr[1:2], lr[1:2])[name]
    torch.testing.assert_close(alone, together[1:2], rtol=1e-5, atol=1e-6)


def test_the_least_size_is_measured(name, suite, hr):
    side = suite.min_size
    small = hr[..., :side, :side]
    lr = shrink(small, (side, side)) if side % 2 else imresize(small, 1 / 2)
    assert suite(worse(small, 0.2), small, lr)[name].isfinite().all()


def test_less_than_the_least_size_is_not(name, suite, hr):
    small = hr[..., : suite.min_size - 1, : suite.min_size - 1]
    if suite.min_size == 1:
        pytest.skip("it measures any size")
    try:
        found = suite(worse(small, 0.2), small, small)[name]
    except (ValueError, RuntimeError):
        return
    assert found.isnan().all()


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_the_least_size_of_other_networks(net, shared_weights, hr):
    suite = MetricSuite(names=[f"lpips_{net}"], weights_dir=str(shared_weights))
    side = suite.min_size
    small = hr[..., :side, :side]
    assert (suite(worse(small, 0.2), small)[f"lpips_{net}"] > 0).all()
    with pytest.raises(RuntimeError, match="too small"):
        suite(small[..., 1:], small[..., 1:])


def test_features_of_a_target_are_computed_once(monkeypatch, vgg16_folder, hr):
    suite = MetricSuite(names=["lpips_vgg", "dists"], weights_dir=vgg16_folder)
    seen = []
    for kind in (LPIPSDistance, DISTSDistance):

        def counted(self, image, features=kind.features):
            seen.append((type(self), torch.equal(image, hr)))
            return features(self, image)

        monkeypatch.setattr(kind, "features", counted)
    targets = suite.against(hr)
    for amount in (0.1, 0.2, 0.3):
        targets(worse(hr, amount))
    for kind in (LPIPSDistance, DISTSDistance):
        assert [known for found, known in seen if found is kind] == [True, False, False, False]


def test_dists_is_what_the_loss_is(vgg16_folder, hr):
    """Which is compared with torchmetrics' in tests/losses/test_dists.py."""
    from srlit.losses.dists_loss import DISTSLoss

    sr = worse(hr, 0.1)
    found = MetricSuite(names=["dists"], weights_dir=vgg16_folder)(sr, hr)["dists"]
    loss = DISTSLoss(weights_dir=vgg16_folder)
    expected = torch.stack([loss(a[None], b[None]) for a, b in zip(sr, hr, strict=True)])
    torch.testing.assert_close(found, expected)


def test_low_frequencies_are_all_that_the_colour_sees(hr):
    suite = MetricSuite(names=["lowfreq_mae_s8", "mae"])
    paler = suite(0.9 * hr, hr)
    torch.testing.assert_close(paler["lowfreq_mae_s8"], 0.1 * hr.mean((1, 2, 3)), atol=2e-3, rtol=0)
    noise = torch.randint(0, 2, hr.shape, generator=torch.Generator().manual_seed(1)) * 0.1 - 0.05
    inside = 0.8 * hr + 0.1
    noisy = suite(inside + noise, inside)
    assert (noisy["mae"] > 10 * noisy["lowfreq_mae_s8"]).all()


def test_lr_psnr_is_that_of_what_was_shrunk(hr, lr):
    sr = worse(hr, 0.1)
    found = MetricSuite(names=["lr_psnr_rgb_b0"])(sr, hr, lr)["lr_psnr_rgb_b0"]
    small = imresize(sr, 1 / 2)
    expected = MetricSuite(names=["psnr_rgb_b0"])(small, lr)["psnr_rgb_b0"]
    torch.testing.assert_close(found, expected)


def test_lr_that_is_missing_or_does_not_fit_is_named(hr):
    suite = MetricSuite(names=["mae", "lr_psnr_rgb_b0"])
    with pytest.raises(ValueError, match="'lr_psnr_rgb_b0': it needs suite"):
        suite(hr, hr)
    with pytest.raises(ValueError, match="sr of 66x72 pixels is no whole multiple of lr of 30x36"):
        suite(hr, hr, hr[..., :30, :36])


def test_an_untrained_network_never_passes_as_a_pretrained_one(tmp_path, monkeypatch, hr, caplog):
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    monkeypatch.setattr("srlit.perceptual.backbones.torchvision_state", no_network)
    names, folder = ["lpips_alex", "dists"], str(tmp_path)
    suite = MetricSuite(
        names=names, set_names=["kid_vgg_p64"], weights_dir=folder, allow_untrained=True
    )
    assert suite.names == list(suite(hr, hr)) == ["lpips_alex_untrained", "dists_untrained"]
    assert suite.reported_name("lpips_alex") == "lpips_alex_untrained"
    assert "UNTRAINED" in caplog.text
    assert suite.min_size == 64
    sets = suite.over_set()
    sets.update({"same": hr}, hr)
    assert set(sets.compute()["same"]) == {"kid_vgg_p64_untrained", "kid_vgg_p64_untrained_error"}

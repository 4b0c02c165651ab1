"""Methods and their names; networks are loaded from a table instead of files."""

import pytest
import torch

from srlit.evaluation import methods
from srlit.evaluation.methods import Interpolation, NetworkLoader, choose_reference
from srlit.inference.upscalers import Interpolator
from srlit.models.edsr import EDSR

BASELINES = [Interpolator(name, scale=2) for name in ("bilinear", "bicubic")]


@pytest.fixture
def loader():
    """Loads `width<N>` as an EDSR of that width; the files exist for their digests."""

    def load(path):
        torch.manual_seed(0)
        width = int(path.stem.removeprefix("width"))
        return EDSR(scale=2, width=width, blocks=1), {"model": {"width": width}}

    return NetworkLoader(load=load, device=torch.device("cpu"), scale=2)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"width{width}.pth" for width in (4, 8)]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_blends_are_of_networks_of_one_configuration(loader, files):
    lr = torch.rand(1, 3, 8, 8)
    blend = loader.upscaler("blend", [files[0], files[0]], [0.25, 0.75])
    torch.testing.assert_close(blend(lr), loader.upscaler("one", [files[0]])(lr))
    with pytest.raises(ValueError, match="width4.pth and .*width8.pth"):
        loader.upscaler("blend", files, [0.5, 0.5])


def test_there_is_one_name_per_checkpoint(loader, files):
    with pytest.raises(ValueError, match=r"names=\['a'\]"):
        methods.trained_networks(loader, list(map(str, files)), ["a"])


def test_the_reference_is_bicubic_or_the_first_unless_named():
    assert choose_reference(None, BASELINES) == "bicubic"
    assert choose_reference(None, BASELINES[:1]) == "bilinear"
    assert choose_reference("bilinear", BASELINES) == "bilinear"


@pytest.mark.parametrize(
    ("name", "compared", "named"),
    [
        ("nearest", BASELINES, "reference=nearest: .*bilinear, bicubic"),
        (None, [*BASELINES, BASELINES[1]], "bicubic"),
        (None, [], r"checkpoints=\[\] and baselines=\[\]"),
    ],
)
def test_names_are_needed_once_each(name, compared, named):
    with pytest.raises(ValueError, match=named):
        choose_reference(name, compared)


def test_interpolations_are_named_after_both_ends_and_their_rising_alphas(loader):
    between = Interpolation(loader, ["r/checkpoints/x.safetensors", "runs/b"], [0, 0.5])
    assert between.named_alphas == {"r/x..b 0": 0, "r/x..b 0.5": 0.5}
    for alphas in ([], [0.5, 0.5], [0.6, 0.4]):
        with pytest.raises(ValueError, match="alphas="):
            Interpolation(loader, ["a", "b"], alphas)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_the_mean_is_exact_at_both_ends_and_between(alpha):
    torch.manual_seed(0)
    one, other = ({"w": torch.randn(5, 3), "n": torch.tensor(k)} for k in (3, 4))
    found = methods.interpolate_weights([one, other], [1 - alpha, alpha])
    expected = (1 - alpha) * one["w"].double() + alpha * other["w"].double()
    assert torch.equal(found["w"], expected.float())
    assert found["n"] == 3  # integers are the first network's


def test_different_networks_are_refused():
    states = [{name: torch.zeros(5, 3)} for name in "wv"]
    with pytest.raises(ValueError, match="w .* v "):
        methods.interpolate_weights(states, [0.5, 0.5])

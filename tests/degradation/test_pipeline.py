import pytest
import torch

from srlit.degradation.pipeline import Degradation
from srlit.degradation.stage import Stage
from srlit.degradation.stages.combine import RandomApply
from srlit.degradation.stages.quantise import Quantise
from tests.degradation.sampling import keys, preset


@pytest.fixture
def hr(photo):
    parts = [photo[..., 20 * i : 20 * i + 192, 30 * i : 30 * i + 192] for i in range(6)]
    return torch.cat(parts).float() / 255


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("fixed", lambda hr: hr[..., :95], "'fixed': .*'shrink': 192x95 .*scale=2"),
        ("blind", lambda hr: hr[:, :1], r"'shrink': .*\(6, 1, 192, 192\)"),
        ("blind", lambda hr: hr.where(hr != hr.max(), torch.nan), "'blind': .*'shrink': .*nan"),
        ("blind", lambda hr: hr * 255, "'shrink': .* 0 to 2"),
        ("realesrgan", lambda hr: hr[..., :40, :40], "'second': .*'blur': .* reaches 10 .* 6x6"),
        ("realesrgan", lambda hr: hr[..., :2, :2], "'realesrgan': .*'first': .*'blur': .*10 .*2x2"),
    ],
)
def test_bad_images_are_named_with_their_stage(name, spoil, message, hr):
    with pytest.raises(ValueError, match=message):
        preset(name)(spoil(hr), keys(6))


def test_a_preset_that_misses_its_scale_is_refused():
    with pytest.raises(ValueError, match="'mine' shrinks by 1.*scale=2"):
        Degradation(name="mine", scale=2, stages={"eight_bit": Quantise()})
    stages = preset("realesrgan").chain.stages
    with pytest.raises(ValueError, match="'mine' .*scale=2"):
        Degradation(name="mine", scale=2, stages={"first": stages["first"]})


def test_what_the_caller_holds_is_neither_changed_nor_returned(hr):
    class Same(Stage):
        def apply(self, batch, params):
            return batch.map(lambda x, _: x, params)

    stages = {"same": Same(), "maybe": RandomApply(p=0.5, stages={"eight_bit": Quantise()})}
    degradation, before = Degradation(name="mine", scale=1, stages=stages), (hr * 0.997).clone()
    given = before.clone()
    lr = degradation(given, keys(6))
    assert torch.equal(given, before)
    assert not torch.equal(lr, before)
    never = Degradation(name="n", scale=1, stages={"m": RandomApply(p=0, stages={"q": Quantise()})})
    assert never(given, keys(6)).data_ptr() != given.data_ptr()


def test_autocast_and_tf32_change_nothing(hr):
    degradation = preset("blind")
    plain = degradation(hr, keys(6))
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(degradation(hr, keys(6)), plain)
    finally:
        torch.set_float32_matmul_precision("highest")

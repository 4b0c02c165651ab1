import pytest
from omegaconf import OmegaConf

from srlit.config.check import ConfigError, check_config
from srlit.degradation.stage import choice_weights
from tests.helpers import compose_config

D = "srlit.degradation"


@pytest.mark.parametrize(
    ("target", "key", "value", "others"),
    [
        ("kernels.GaussianKernel", "sizes", [4], {"sigma": [1, 1]}),
        ("kernels.GaussianKernel", "sigma", [2, 1], {"sizes": [3]}),
        ("kernels.GaussianKernel", "sigma", [0, 1], {"sizes": [3]}),
        ("kernels.Sinc", "cutoff", [1, 4], {"sizes": [3]}),
        ("noise_kinds.GaussianNoise", "sigma", [1, 300], {}),
        ("stages.jpeg_compression.Jpeg", "quality", [0, 95], {}),
        ("stages.jpeg_compression.Jpeg", "subsamplings", ["4:1:1"], {"quality": [60, 95]}),
        ("stages.file_codec.FileCodec", "quality", [-1, 50], {"codec": "webp"}),
        ("stages.file_codec.FileCodec", "codec", "heic", {"quality": [1, 50]}),
        ("stages.combine.RandomApply", "p", 1.5, {"stages": {}}),
        ("stages.decimate.Decimate", "kinds", [], {"scale": 2}),
        ("stages.random_resize.Resize", "factors", [], {"kinds": ["area"]}),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_value(target, key, value, others):
    cfg = compose_config("train", "degradation=bicubic")
    node = {"_target_": f"{D}.{target}", key: value, **others}
    OmegaConf.update(cfg, "degradation.stages.mine", node, force_add=True)
    with pytest.raises(ConfigError) as error:
        check_config(cfg, "train")
    assert str(error.value).startswith(f"degradation.stages.mine.{key}")


def test_weights_are_one_per_option():
    assert choice_weights(None, "ab") == [1, 1]
    for weights in ([1], [1, -1], [0, 0]):
        with pytest.raises(ValueError, match="weights="):
            choice_weights(weights, "ab")
    with pytest.raises(ValueError, match="weights="):
        choice_weights(None, "")

from types import SimpleNamespace
from unittest.mock import Mock, call

import pytest
import torch

from srlit.ops.compute_precision import feature_precision, float64_device, full_precision


def test_apples_and_some_of_intels_gpus_lack_float64(monkeypatch):
    assert float64_device(torch.device("mps")) == torch.device("cpu")
    assert float64_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    for has_fp64, device in ((True, torch.device("xpu", 1)), (False, torch.device("cpu"))):
        properties = SimpleNamespace(has_fp64=has_fp64)
        monkeypatch.setattr(torch.xpu, "get_device_properties", lambda _, found=properties: found)
        assert float64_device(torch.device("xpu", 1)) == device


def test_precision_is_full_inside_and_as_before_outside():
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            with full_precision(torch.device("cpu")):
                assert torch.get_float32_matmul_precision() == "highest"
                assert not torch.backends.cudnn.allow_tf32
                assert torch.backends.cudnn.enabled
                assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.float32
            assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.bfloat16
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("native", [True, False])
def test_features_are_bfloat16_on_gpus_that_have_it(native, monkeypatch):
    supported = Mock(return_value=native)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.amp.autocast_mode, "is_autocast_available", lambda _: True)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    context = feature_precision(torch.device("cuda", 1))
    assert (context.device, context.fast_dtype) == ("cuda", torch.bfloat16)
    assert context._enabled is native
    assert supported.call_args_list[0] == call(including_emulation=False)


def test_features_are_float32_on_a_cpu_even_in_a_training_that_is_not():
    with torch.autocast("cpu", torch.bfloat16), feature_precision(torch.device("cpu")):
        assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.float32

import torch

from srlit.ops.precision import float64_device, full_precision


def test_only_apples_gpus_lack_float64():
    assert float64_device(torch.device("mps")) == torch.device("cpu")
    assert float64_device(torch.device("cuda", 1)) == torch.device("cuda", 1)


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

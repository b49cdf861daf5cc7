"""Points that the slim torch wheel must pass; run by its Python, with nothing but torch beside it. Each assert is one point."""
# mypy: disable-error-code="import-not-found"
# torch is inside the image, not in the environment of the tests.

import os

import torch
import torch._dynamo
import torch._inductor
import torch.distributed
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile


def passes() -> None:
    """Raises AssertionError, or ends the process, where the wheel is not a working CPU build."""
    assert torch.__version__.endswith("+cpu"), torch.__version__
    assert torch.version.cuda is None
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    computes()
    talks()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        torch.ones(10).sum()
    assert len(profiled.key_averages()) > 0
    try:
        torch.ones(1).cuda()
    except (AssertionError, RuntimeError) as refusal:
        assert "not compiled with CUDA" in str(refusal), refusal  # noqa: PT017  no pytest inside the image
    else:
        raise AssertionError("a tensor went to CUDA")


def computes() -> None:
    """Autograd, MKL's linear algebra and FFT, bfloat16, attention, oneDNN."""
    inputs = torch.randn(64, 64, requires_grad=True)
    torch.nn.Linear(64, 64)(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.norm() > 0
    assert torch.allclose(torch.linalg.inv(torch.eye(4) * 2), torch.eye(4) / 2)
    assert torch.fft.fft(torch.ones(4))[0] == 4
    ones = torch.ones(4, dtype=torch.bfloat16)
    assert ones @ ones == 4
    assert functional.scaled_dot_product_attention(*[torch.randn(1, 2, 8, 16)] * 3).shape == (1, 2, 8, 16)
    assert torch.backends.mkldnn.is_available()


def talks() -> None:
    """Gloo between ranks, here one: what tensor parallel on CPUs uses."""
    assert not torch.distributed.is_nccl_available()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    tensor = torch.ones(3)
    torch.distributed.all_reduce(tensor)
    assert tensor.tolist() == [1, 1, 1]
    torch.distributed.destroy_process_group()


passes()

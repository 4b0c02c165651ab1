"""Several processes as one training: averaged gradients, shared buffers, agreement on a number.

Each process computes the gradient of its part of a batch. `Phase.update` averages the gradients in
flat buckets before the optimizer's step: once per step, whatever the forward and backward passes
were. `DistributedDataParallel` averages during the backward pass instead, which hides most of the
transfer, but allows only one backward pass per forward pass of the wrapped module.
"""

import atexit
from collections.abc import Iterable, Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._utils import _take_tensors

from srlit.types import Scalar

BUCKET_BYTES = 32 * 2**20


def world_size() -> int:
    """Number of processes; 1 where none but this one was started."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def average_gradients(parameters: Sequence[nn.Parameter], loss: Scalar) -> None:
    """Replace each gradient, and the loss, by its mean over all processes, in place.

    Collective: every process must call it with the same parameters. A parameter without a gradient
    here counts as zero where another process has one, and stays without where none has.
    """
    if world_size() == 1 or not parameters:
        return
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    present = torch.tensor([float(p.grad is not None) for p in parameters], device=loss.device)
    all_present = all(p.grad is not None for p in parameters)
    average([*gradients, loss, present])
    if not all_present:  # only then is anything read from the device
        fractions = present.tolist()
        for parameter, mean, fraction in zip(parameters, gradients, fractions, strict=True):
            parameter.grad = mean if fraction > 0 else None


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in place."""
    pending = []
    for bucket in _take_tensors(tensors, BUCKET_BYTES):
        flat = _flatten(bucket)
        pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in pending:
        assert work is not None
        work.wait()
        _unflatten(flat.div_(dist.get_world_size()), bucket)


@torch.no_grad()
def broadcast(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by the first process's, in place."""
    if world_size() == 1:
        return
    for bucket in _take_tensors(tensors, BUCKET_BYTES):
        flat = _flatten(bucket)
        dist.broadcast(flat, src=0)
        _unflatten(flat, bucket)


def _flatten(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _unflatten(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Copy the parts back, whatever the tensors' memory format."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.detach().copy_(part.view(tensor.shape))


# -- agreement on the host ------------------------------------------------------------------------

# The gloo group of a world: what it sends never waits for the device.
_control_groups: dict[dist.ProcessGroup, dist.ProcessGroup] = {}


def open_control_group(timeout: timedelta) -> None:
    """Prepare `all_reduce_max` for the default group. Collective."""
    world = dist.group.WORLD
    assert world is not None
    if world not in _control_groups:
        group = dist.new_group(backend="gloo", timeout=timeout)
        assert isinstance(group, dist.ProcessGroup)
        _control_groups[world] = group
        # Before the interpreter ends: a group's thread that is still running would abort it.
        atexit.register(close_control_groups)


def close_control_groups() -> None:
    """Forget the groups, before the default group is destroyed."""
    _control_groups.clear()


def all_reduce_max(number: int) -> int:
    """The largest number that any process passes in.

    Collective: every process must call it at the same iterations. It costs a round trip of four
    bytes between the hosts and does not wait for the device.
    """
    if world_size() == 1:
        return number
    world = dist.group.WORLD
    assert world is not None
    answer = torch.tensor([number], dtype=torch.int32)
    dist.all_reduce(answer, op=dist.ReduceOp.MAX, group=_control_groups[world])
    return int(answer.item())

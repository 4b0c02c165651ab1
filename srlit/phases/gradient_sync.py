"""What makes several processes one training: averaged gradients, shared buffers, agreement.

Each process computes the gradient of its part of a batch. Just before an optimizer's step the
gradients of its parameters are averaged, in flat buckets. That is one place for every phase: it
does not matter how many forward and backward passes made the gradients, through what, or whether
some pass needed second derivatives. `DistributedDataParallel` averages during the backward pass
instead, which hides most of the transfer, but it counts on one backward pass to one forward pass
of the wrapper.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET_BYTES = 32 * 2**20


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter], beside: Sequence[Tensor] = ()) -> None:
    """Replace each gradient by its mean over all processes, and each tensor that goes beside them.

    A parameter without a gradient here counts as zero where another process has one, and stays
    without where none has, as it would in one process with the whole batch. Every process must
    call this with the same parameters.
    """
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        return
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    present = torch.ones(len(trained), device=trained[0].device)
    missing = [place for place, p in enumerate(trained) if p.grad is None]
    for place in missing:
        present[place].zero_()
    average([*gradients, *beside, present])
    if missing:  # only then is anything read from the device
        shares = present.tolist()
        for place in missing:
            trained[place].grad = gradients[place] if shares[place] > 0 else None


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in place."""
    pending = []
    for bucket in buckets(tensors):
        flat = _flatten(bucket)
        pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in pending:
        assert work is not None
        work.wait()
        _unflatten(flat.div_(dist.get_world_size()), bucket)


@torch.no_grad()
def share(tensors: Sequence[Tensor], group: dist.ProcessGroup | None = None) -> None:
    """Replace each tensor by the first process's, in place."""
    for bucket in buckets(tensors):
        flat = _flatten(bucket)
        dist.broadcast(flat, src=0, group=group)
        _unflatten(flat, bucket)


def buckets(tensors: Iterable[Tensor], limit: int = BUCKET_BYTES) -> Iterator[list[Tensor]]:
    """Tensors of one type and device together, up to `limit` bytes; a larger one alone."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for alike in kinds.values():
        bucket: list[Tensor] = []
        for tensor in alike:
            if bucket and sum(t.nbytes for t in bucket) + tensor.nbytes > limit:
                yield bucket
                bucket = []
            bucket.append(tensor)
        yield bucket


def _flatten(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _unflatten(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Copy the parts back, whatever the tensors' memory format."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.detach().copy_(part.view(tensor.shape))


# -- beside the device ----------------------------------------------------------------------------


def control_group() -> dist.ProcessGroup:
    """A gloo group of all processes, made once: what it sends never waits for the device.

    The first call is collective.
    """
    world = dist.group.WORLD
    assert world is not None
    return _gloo_beside(world)


@lru_cache(maxsize=1)
def _gloo_beside(world: dist.ProcessGroup) -> dist.ProcessGroup:  # noqa: ARG001 - the cache's key
    group = dist.new_group(backend="gloo")
    assert isinstance(group, dist.ProcessGroup)
    return group


def all_reduce_max(number: int) -> int:
    """The largest number that any process says.

    Collective: every process must call it equally often, at the same iterations. It costs a round
    trip of four bytes on the processors and does not wait for the device.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return number
    answer = torch.tensor([number], dtype=torch.int32)
    dist.all_reduce(answer, op=dist.ReduceOp.MAX, group=control_group())
    return int(answer.item())

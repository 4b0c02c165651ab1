"""Two processes: averaged gradients, broadcast buffers, agreement on a number."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from srlit.phases.gradient_sync import (
    all_reduce_max,
    average_gradients,
    broadcast,
    close_control_groups,
    open_control_group,
)


class Discriminator(nn.Module):
    """A small discriminator with spectral normalisation and a branch that nothing uses."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.SiLU(), spectral_norm(nn.Conv2d(4, 1, 3))
        ).to(memory_format=torch.channels_last)
        self.unused = nn.Linear(2, 2)

    def forward(self, image):
        return self.body(image).mean((1, 2, 3))


def penalised(network, images):
    """A loss with second derivatives, as of an R1 penalty, through the bare network."""
    images = images.clone().requires_grad_()
    logits = network(images)
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return (logits - 1).square().mean() + 10 * slope.square().sum((1, 2, 3)).mean()


def plain(network, images):
    return (network(images) + 1).square().mean()


# Losses of the backward passes before each step: of one step, of two in a row, accumulated.
PLANS = {
    "plain": [[plain]],
    "twice in an iteration": [[plain], [plain]],
    "second derivatives": [[penalised], [plain]],
    "accumulated": [[plain, penalised], [plain]],
}


def trained(plan, images, *, average):
    """Weights and buffers after the steps of a plan, by gradient descent."""
    torch.manual_seed(0)
    network = Discriminator()
    for losses in PLANS[plan]:
        network.zero_grad()
        for loss in losses:
            loss(network, images).backward()
        if average:
            average_gradients(list(network.parameters()), torch.zeros(()))
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=0.1)
    return network.state_dict()


def images():
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def together(rank, path):
    """What each of two processes does; the tests read what it writes."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{path}/rendezvous",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    open_control_group(timedelta(seconds=60))
    found = {plan: trained(plan, images().chunk(2)[rank], average=True) for plan in PLANS}
    found["all_reduce_max"] = [
        all_reduce_max(0),
        all_reduce_max(7 * rank),
        all_reduce_max(3 - rank),
    ]

    partial = nn.Parameter(torch.ones(2))  # has a gradient in one process only
    partial.grad = torch.full((2,), 4.0) if rank == 0 else None
    absent = nn.Parameter(torch.ones(2))
    loss = torch.tensor(float("inf") if rank == 1 else 1.0)
    average_gradients([partial, absent], loss)
    found["partial"], found["absent"], found["loss"] = partial.grad, absent.grad, loss

    norm = nn.BatchNorm2d(3)
    norm(torch.rand(2, 3, 4, 4) + rank)
    flag = torch.tensor([rank == 0, False])
    broadcast([*norm.buffers(), flag])
    found["broadcast"] = {**norm.state_dict(), "flag": flag}
    torch.save(found, f"{path}/rank_{rank}.pt")
    close_control_groups()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("together")
    mp.spawn(together, (str(path),), nprocs=2)
    return [torch.load(path / f"rank_{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("plan", PLANS)
def test_two_halves_of_a_batch_train_like_the_whole(found, plan):
    alone = trained(plan, images(), average=False)
    for name, expected in alone.items():
        torch.testing.assert_close(found[0][plan][name], expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(found[0][plan][name], found[1][plan][name]), name


def test_control_the_compared_steps_change_the_weights():
    torch.manual_seed(0)
    before, after = Discriminator().state_dict(), trained("plain", images(), average=False)
    change = after["body.0.weight"] - before["body.0.weight"]
    assert change.abs().max() > 1e-3
    assert torch.equal(after["unused.weight"], before["unused.weight"])


def test_all_processes_get_the_largest_number(found):
    assert [rank["all_reduce_max"] for rank in found] == [[0, 7, 3]] * 2


def test_a_gradient_of_one_process_counts_half_in_both(found):
    for rank in found:
        assert rank["partial"].tolist() == [2.0, 2.0]
        assert rank["absent"] is None
        assert rank["loss"].isinf()


def test_broadcast_buffers_of_every_dtype_are_the_first_processs(found):
    for name, value in found[0]["broadcast"].items():
        assert torch.equal(value, found[1]["broadcast"][name]), name
    assert found[1]["broadcast"]["flag"].tolist() == [True, False]


def test_one_process_gets_its_own_number():
    assert all_reduce_max(5) == 5
    assert all_reduce_max(0) == 0

from collections import Counter

import pytest
import torch

from srlit.data import sampler as sampler_module
from srlit.data.sampler import ORDER, PhotoOrder, divide, epoch_order
from srlit.ops.rng import make_keys, uniform_field


def epoch(order, number=0):
    length = sum(order.visits) * order.crops
    return [order.photo(s) for s in range(number * length, (number + 1) * length)]


def test_every_photo_is_visited_once_per_epoch_in_a_new_order():
    order = PhotoOrder([12], weights=None, seed=0)
    assert sorted(epoch(order, 0)) == sorted(epoch(order, 7)) == list(range(12))
    assert epoch(order, 0) != epoch(order, 1)
    assert epoch(order, 1) != epoch(PhotoOrder([12], weights=None, seed=1), 1)


def test_weights_by_size_are_the_same_as_one_group():
    whole = PhotoOrder([12], weights=None, seed=3)
    for weights in (None, [5, 7]):
        parts = PhotoOrder([5, 7], weights=weights, seed=3)
        assert [epoch(parts, e) for e in range(3)] == [epoch(whole, e) for e in range(3)]


def test_groups_follow_their_weights_and_cycle_evenly():
    order = PhotoOrder([2, 10], weights=[1, 1], seed=0)
    seen = Counter(p for e in range(10) for p in epoch(order, e))
    assert sum(seen[p] for p in (0, 1)) == 60
    assert seen[0] == seen[1] == 30
    assert {seen[p] for p in range(2, 12)} == {6}


def test_several_crops_take_a_photo_several_times_in_a_row():
    order = PhotoOrder([5], weights=None, seed=0, crops=3)
    once = PhotoOrder([5], weights=None, seed=0)
    assert epoch(order) == [p for p in epoch(once) for _ in range(3)]


def test_a_step_leads_to_the_next_visit_also_into_the_next_epoch():
    order = PhotoOrder([5], weights=None, seed=0)
    assert [order.photo(s, 1) for s in range(9)] == [order.photo(s) for s in range(1, 10)]


@pytest.mark.parametrize(
    ("total", "weights", "expected"),  # at least one each
    [(10, [3, 1], [8, 2]), (10, [1e-9, 1], [1, 9]), (7, [1, 1, 1], [3, 2, 2])],
)
def test_division_follows_the_largest_remainders(total, weights, expected):
    assert sorted(divide(total, weights)) == sorted(expected)


@pytest.mark.parametrize(
    ("counts", "weights"),
    [([3, 2], [1, 1]), ([10, 10], [1, 99]), ([1, 6], [0.3, 0.7]), ([5, 4, 3], [1, 2, 2**0.5])],
)
def test_small_groups_follow_their_weights_too(counts, weights):
    """An epoch of these photos alone could not divide its visits so."""
    order = PhotoOrder(counts, weights=weights, seed=0)
    for weight, visits in zip(weights, order.visits, strict=True):
        assert visits / sum(order.visits) == pytest.approx(weight / sum(weights), rel=0.01)
    seen = Counter(epoch(order))
    first = 0
    for count, visits in zip(counts, order.visits, strict=True):
        assert {seen[p] - visits // count for p in range(first, first + count)} <= {0, 1}
        first += count


def test_a_tiny_weight_makes_no_endless_epoch():
    order = PhotoOrder([2, 3], weights=[1e-12, 1], seed=0)
    assert sum(order.visits) <= sampler_module.MAX_EPOCH
    assert order.visits[0] == 1


@pytest.mark.parametrize("count", [1, 2, 7, 4097])
def test_the_order_of_an_epoch_does_not_depend_on_its_block(count):
    for number in (0, 1, 4095, 4096, 10_000):
        keys = make_keys(3, (ORDER,), torch.tensor([number]))
        expected = uniform_field(keys, (count,))[0].argsort(stable=True)
        assert torch.equal(epoch_order(3, number, count), expected)

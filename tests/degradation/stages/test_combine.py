import itertools
from fractions import Fraction

import pytest
import torch

from srlit.degradation.stage import Stage
from srlit.degradation.stages.bicubic import Bicubic
from srlit.degradation.stages.combine import RandomApply, RandomChoice, RandomOrder, Sequential
from srlit.degradation.stages.quantise import Quantise
from srlit.degradation.stages.random_resize import Resize
from srlit.ops.ragged_batch import RaggedBatch
from tests.degradation.sampling import rows
from tests.elsewhere import elsewhere, here


class Times10Plus(Stage):
    """Writes a digit: the order of application can be read from the result."""

    def __init__(self, digit):
        self.digit = digit

    def apply(self, batch, params):
        return batch.map(lambda x, _: x * 10 + self.digit, params)


class Fails(Stage):
    def apply(self, batch, params):
        raise ValueError("too blue")


def digits(count):
    return {f"s{i + 1}": Times10Plus(i + 1) for i in range(count)}


def numbers(batch):
    return here(batch.pixels)[:, 0, 0, 0].long().tolist()


@pytest.mark.parametrize("place", [lambda x: x, elsewhere])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_random_order_applies_every_stage_once_in_the_drawn_order(count, place):
    order = RandomOrder(stages=digits(count))
    orders = list(itertools.permutations(range(count)))
    x = place(torch.zeros(len(orders), 3, 2, 2))
    result = order.apply(RaggedBatch.of(x), {"order": torch.tensor(orders)})
    expected = [int("".join(str(stage + 1) for stage in order)) for order in orders]
    assert numbers(result) == expected


def test_all_orders_are_equally_likely():
    order = RandomOrder(stages=digits(3)).sample(rows(6000))["order"]
    counts = torch.unique(order, dim=0, return_counts=True)[1]
    assert len(counts) == 6
    assert (counts - 1000).abs().max() < 110


def test_keep_order_holds_among_its_stages():
    order = RandomOrder(stages=digits(4), keep_order=["s3", "s1"])
    place = order.sample(rows(4000))["order"].argsort(1)
    assert (place[:, 2] < place[:, 0]).all()
    assert abs((place[:, 1] < place[:, 3]).float().mean() - 0.5) < 0.04


@pytest.mark.parametrize("place", [lambda x: x, elsewhere])
def test_random_apply_choice_and_sequential(place):
    x = place(torch.zeros(1000, 3, 1, 1))
    sometimes = RandomApply(p=0.3, stages=digits(2))
    params = sometimes.sample(rows(1000))
    assert abs(params["used"].float().mean() - 0.3) < 0.05
    assert numbers(sometimes.apply(RaggedBatch.of(x), params)) == [
        12 * used for used in params["used"]
    ]
    choice = RandomChoice(stages=digits(3), weights=[1, 0, 3])
    params = choice.sample(rows(1000))
    assert numbers(choice.apply(RaggedBatch.of(x), params)) == (params["choice"] + 1).tolist()
    assert abs((params["choice"] == 2).float().mean() - 0.75) < 0.05
    assert numbers(Sequential(stages=digits(3)).apply(RaggedBatch.of(x), {}))[0] == 123


HALF, SAME, VARY = Bicubic(scale=2), Quantise(), Resize(factors=[[0.5, 1]], kinds=["area"])
BACK = Resize(factors=[[1, 1]], shrink=2, kinds=["area"])  # to half the original size
HALVED = Fraction(1, 2)


@pytest.mark.parametrize(
    ("stage", "size"),
    [
        (Sequential(stages={"a": HALF, "b": SAME}), HALVED),
        (Sequential(stages={"a": VARY, "b": SAME}), None),
        (Sequential(stages={"a": VARY, "b": BACK}), HALVED),
        (RandomApply(p=0.5, stages={"a": VARY, "b": BACK}), None),
        (RandomApply(p=0.5, stages={"a": SAME}), 1),
        (RandomChoice(stages={"a": HALF, "b": BACK}), HALVED),
        (RandomChoice(stages={"a": HALF, "b": SAME}), None),
        (RandomOrder(stages={"b": BACK, "q": SAME, "v": VARY}, keep_order=["v", "b"]), HALVED),
        (RandomOrder(stages={"a": SAME, "b": HALF, "c": SAME}, keep_order=["a", "c"]), HALVED),
    ],
)
def test_relative_sizes(stage, size):
    assert stage.relative_size_after(Fraction(1)) == size


def test_an_order_that_could_change_the_size_is_refused():
    with pytest.raises(ValueError, match=r"keep_order=\['b'\].*\['b', 'v'\]"):
        RandomOrder(stages={"b": BACK, "v": VARY}, keep_order=["b"])


def test_names_of_choices_and_of_failing_stages():
    inner = RandomChoice(stages={"a": Quantise(), "b": Fails()})
    chain = Sequential(stages={"outer": RandomOrder(stages={"inner": inner})})
    assert chain.names == {"outer.order": ["inner"], "outer.inner.choice": ["a", "b"]}
    params = {"outer.order": torch.zeros(1, 1).long(), "outer.inner.choice": torch.ones(1).long()}
    with pytest.raises(ValueError, match="stage 'outer': stage 'inner': stage 'b': too blue"):
        chain.apply(RaggedBatch.of(torch.zeros(1, 3, 1, 1)), params)

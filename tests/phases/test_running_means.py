import math

import torch

from srlit.phases.running_means import RunningMeans


def tensors(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_means_between_flushes():
    means = RunningMeans(every=2)
    means.record(tensors(a=1.0))
    means.record(tensors(a=3.0, b=5.0))
    assert means.flush() == means.latest == {"a": 2.0, "b": 5.0}
    means.record(tensors(a=7.0))
    assert means.flush() == {"a": 7.0}
    assert means.flush() == {}


def test_values_that_are_not_finite_are_left_out():
    means = RunningMeans(every=4)
    for value in (1.0, float("nan"), float("inf"), 3.0):
        means.record(tensors(a=value, b=float("nan"), c=1.0))
    assert all(t.isfinite() for t in means.state_dict()["sums"].values())
    assert means.not_finite() == ["b", "a"]
    found = means.flush()
    assert means.not_finite() == ["b", "a"]
    assert found["a"] == 2.0
    assert math.isnan(found["b"])


def test_an_interrupted_interval_continues():
    means = RunningMeans(every=2)
    means.record(tensors(a=1.0))
    resumed = RunningMeans(every=2)
    resumed.load_state_dict(means.state_dict(), torch.device("cpu"))
    resumed.record(tensors(a=3.0))
    assert resumed.flush() == {"a": 2.0}

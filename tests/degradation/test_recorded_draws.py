import json

import pytest
import torch

from srlit.degradation.recorded_draws import DrawsError, from_records, to_records
from srlit.ops.rng import make_keys
from tests.degradation.sampling import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_draws_are_recorded_as_json_and_replayed_to_the_bit(name, photo):
    degradation = preset(name)
    hr = photo[..., :128, :128].float().expand(5, -1, -1, -1) / 255
    draws = degradation.sample(make_keys(0, (), torch.arange(5)))
    records = json.loads(json.dumps(to_records(degradation, draws, 5)))
    assert all(None not in record.values() or name != "fixed" for record in records)
    assert len(records) == 5
    assert (records[0] == {}) == (name == "bicubic")  # which draws nothing
    again = from_records(degradation, records)
    assert all(again[key].dtype == value.dtype for key, value in draws.items())
    assert torch.equal(degradation.apply(hr, draws), degradation.apply(hr, again))


def test_records_hold_names_and_plain_numbers():
    degradation = preset("realesrgan")
    record = to_records(degradation, degradation.sample(torch.arange(40)), 40)[0]
    assert record["first.blur.family"] in degradation.chain.names["first.blur.family"]
    assert len(set(degradation.chain.names["first.blur.family"])) == 8
    assert sorted(record["last.shuffled.order"]) == ["jpeg", "resize_and_ring"]
    assert isinstance(record["first.jpeg.quality"], int)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("extra", 1, "'blind': extra are only in one"),
        ("shrink.kind", None, "'blind': shrink.kind are only in one"),
        ("shrink.kind", "cubic", "shrink.kind: 'cubic' is not in list"),
        ("shrink.sigma", "wide", "shrink.sigma: .*expected numbers"),
        ("noise_and_jpeg.order", ["noise"], r"noise_and_jpeg.order: shape \(1,\).* \(2,\)"),
    ],
)
def test_records_that_do_not_fit_are_refused(key, value, message):
    degradation = preset("blind")
    (record,) = to_records(degradation, degradation.sample(torch.arange(1)), 1)
    record[key] = value
    if value is None:
        del record[key]
    with pytest.raises(DrawsError, match=message):
        from_records(degradation, [record])

"""Draws are recorded per photo, replayed, and replaced one by one."""

import json

import pytest
import torch

from srlit.config import build
from srlit.evaluation.draws_file import RecordedDraws
from srlit.ops.rng import make_keys
from tests.helpers import compose_config

NAMES = list("abc")
KEYS = make_keys(0, (), torch.arange(3))


def preset(name):
    return build(compose_config("evaluate", f"degradation={name}").degradation)


@pytest.mark.parametrize("name", ["blind", "fixed", "bicubic"])
def test_a_file_gives_the_same_draws_whatever_the_keys_and_batches(name, tmp_path):
    degradation = preset(name)
    recorded = RecordedDraws(degradation)
    drawn = recorded.draw(NAMES, (8, 8), KEYS)
    recorded.write(tmp_path / "draws.json")
    replayed = RecordedDraws(degradation, tmp_path / "draws.json")
    for i, photo in enumerate(NAMES):
        again = replayed.draw([photo], (8, 8), KEYS[:1] + 7)
        for key in drawn:
            expected = drawn[key][i : i + 1]
            torch.testing.assert_close(again[key], expected, equal_nan=True, rtol=0, atol=0)
    assert replayed.photos == recorded.photos


def test_the_file_can_be_read_by_people_and_is_written_only_if_something_was_drawn(tmp_path):
    recorded, path = RecordedDraws(preset("blind")), tmp_path / "draws.json"
    recorded.write(path)
    assert not path.exists()
    recorded.draw(NAMES, (8, 6), KEYS)
    recorded.write(path)
    content = json.loads(path.read_text())
    first = content["photos"][0]
    assert (content["degradation"], content["scale"], first["size"]) == ("blind", 2, [8, 6])
    assert [photo["photo"] for photo in content["photos"]] == NAMES
    assert first["draws"]["shrink.kind"] in {"bilinear", "bicubic", "area"}


def test_a_setting_replaces_one_parameter_and_no_other():
    degradation, name = preset("blind"), "noise_and_jpeg.jpeg.jpeg.quality"
    drawn = RecordedDraws(degradation).draw(NAMES, (8, 8), KEYS)
    replaced = RecordedDraws(degradation, setting={name: 61}).draw(NAMES, (8, 8), KEYS)
    assert replaced[name].tolist() == [61] * 3
    assert replaced[name].dtype == drawn[name].dtype
    for other in drawn.keys() - {name}:
        torch.testing.assert_close(replaced[other], drawn[other], equal_nan=True, rtol=0, atol=0)


def test_draws_of_another_evaluation_are_refused(tmp_path):
    path, degradation = tmp_path / "draws.json", preset("blind")
    recorded = RecordedDraws(degradation)
    recorded.draw(NAMES, (8, 8), KEYS)
    recorded.write(path)
    with pytest.raises(ValueError, match=r"degradation=blind scale=2, .*degradation=fixed scale=2"):
        RecordedDraws(preset("fixed"), path)
    for names, size in ((["b"], (8, 8)), (["a"], (8, 9)), (list("abcd"), (8, 8))):
        with pytest.raises(ValueError, match=f"{path}: photo "):
            RecordedDraws(degradation, path).draw(names, size, KEYS[:1])
    photos = '{"degradation": "blind", "scale": 2, "photos": [3]}'
    for content in ("{", "[]", '{"degradation": "blind"}', photos, "[" * 100_000):
        path.write_text(content)
        with pytest.raises(ValueError, match=f"replay={path}: "):
            RecordedDraws(degradation, path)

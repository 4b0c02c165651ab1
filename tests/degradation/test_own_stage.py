"""A stage of the user's own: one module and one YAML file, nothing else."""

import json

import torch
from hydra import compose, initialize_config_dir

from srlit.config import CONF_DIR, build
from srlit.config.check import check_config
from srlit.degradation.preview import histograms, severities
from srlit.degradation.recorded_draws import from_records, to_records
from tests.degradation.sampling import keys

MODULE = '''
from typing import Literal
from srlit.degradation.stage import Stage
from srlit.types import Fraction

class Fade(Stage):
    """Mix every image with one of several grays."""

    def __init__(self, *, strength: Fraction, grays: list[Literal["black", "white"]]) -> None:
        self.strength, self.grays = strength, grays
        self.names = {"gray": grays}

    def sample(self, rows):
        strength = rows.uniform(0, self.strength)
        return {"strength": strength, "gray": rows.integers(0, len(self.grays) - 1)}

    def apply(self, batch, params):
        def fade(x, own):
            level = own["gray"].to(x.dtype).view(-1, 1, 1, 1)
            return x.lerp(level.expand_as(x), own["strength"].to(x.dtype).view(-1, 1, 1, 1))

        return batch.map(fade, params)
'''
PRESET = """
_target_: srlit.degradation.pipeline.Degradation
name: faded
scale: ${scale}
stages:
  fade: {_target_: faded_stage.Fade, strength: 0.8, grays: [black, white]}
  shrink: {_target_: srlit.degradation.stages.bicubic.Bicubic, scale: "${scale}"}
"""


def test_it_is_checked_previewed_recorded_and_replayed(tmp_path, monkeypatch, photo):
    (tmp_path / "faded_stage.py").write_text(MODULE)
    (tmp_path / "degradation").mkdir()
    (tmp_path / "degradation" / "faded.yaml").write_text(PRESET)
    monkeypatch.syspath_prepend(str(tmp_path))
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose(
            "train", ["degradation=faded", f"hydra.searchpath=[file://{tmp_path}]", "scale=2"]
        )
    check_config(cfg, "train")
    degradation = build(cfg.degradation)
    hr = photo[..., :64, :96].float() / 255
    mild, harsh = severities(degradation, hr, columns=2)
    assert mild[0] > harsh[0]
    draws = degradation.sample(keys(30))
    titles = [axis.get_title() for axis in histograms(degradation, draws).axes]
    assert {"fade.strength", "fade.gray"} <= set(titles)
    records = json.loads(json.dumps(to_records(degradation, draws, 30)))
    assert {record["fade.gray"] for record in records} == {"black", "white"}
    batch = hr.expand(30, -1, -1, -1)
    replayed = degradation.apply(batch, from_records(degradation, records))
    assert torch.equal(replayed, degradation.apply(batch, draws))

"""What `--help` shows, and the options that groups offer."""

import re

import pytest

from srlit.config import help_text
from srlit.config.root import options
from tests.helpers import compose_config, run


@pytest.mark.parametrize(
    ("name", "key"), [("train", "validate_every"), ("evaluate", "baselines"), ("upscale", "tile")]
)
def test_help_shows_every_key_with_its_comment_and_every_choice(name, key):
    text = help_text(name, "What it does.")
    assert text.startswith("What it does.")
    assert re.search(rf"\n(  #.*\n)?  {key}: ", text)
    assert f"model: {', '.join(options('model'))}" in text
    assert "_base" not in text


def test_help_is_quick_and_the_same_for_both_commands(tmp_path):
    by_module = run("srlit.train", "--help", cwd=tmp_path)
    by_command = run("srlit", "train", "--help", cwd=tmp_path)
    assert by_module.returncode == 0
    assert by_module.stdout == by_command.stdout
    assert "+experiment=NAME" in by_module.stdout


def test_options_that_share_a_file_are_listed_and_compose():
    assert {"edsr", "edsr_small"} <= set(options("model"))
    small = compose_config("train", "model=edsr_small").model
    assert (small.width, small.blocks, small.residual_scale) == (32, 6, 1.0)
    assert compose_config("train", "+experiment=demo_phase3").label == "demo_phase3"


def test_every_term_is_declared_with_weight_0():
    weights = compose_config("train").loss.weights
    assert set(weights) == {*options("term"), "adversarial"}
    assert {name for name, weight in weights.items() if weight} == {"l1"}

"""The files and commands of docs/extending.md, as a user would write and run them."""

import json
import re
import shlex
from pathlib import Path

import pytest

from srlit.config.entry import options_first
from tests.helpers import REPOSITORY, TINY, run

DOCUMENT = (REPOSITORY / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", DOCUMENT, re.DOTALL))
TRAIN, EVALUATE = (
    shlex.split(command)[1:] for command in re.findall(r"```bash\n(.*?)\n```", DOCUMENT)
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the document's files, and nothing else."""
    folder = tmp_path_factory.mktemp("work")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_documents_own_tests_pass(workplace):
    ended = run("pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=workplace)
    assert ended.returncode == 0, ended.stdout
    assert "5 passed" in ended.stdout


def test_all_parts_train_and_are_evaluated_in_one_table(workplace):
    """By `srlit`, with --config-dir in the middle; then beside a run of another network."""
    ended = run("srlit", *TRAIN, *TINY, cwd=workplace)
    assert ended.returncode == 0, ended.stderr
    header = (workplace / "runs/mine/metrics.csv").read_text().split("\n")[0].split(",")
    assert {"val/contrast", "train/weighted/half"} <= {*header}
    other = ("model=edsr_small", "model.width=8", "model.blocks=1", "name=other", *TINY)
    assert run("srlit", "train", *other, cwd=workplace).returncode == 0
    short = ("metrics.names=[mae]", "data.eval_crop=48", "images=1", "paths.store=null")
    ended = run("srlit", *EVALUATE, *short, cwd=workplace)
    assert ended.returncode == 0, ended.stderr
    table = json.loads((workplace / "runs/evaluation/table.json").read_text())
    assert {"mine", "other"} <= {row["name"] for row in table}


@pytest.mark.parametrize("option", [["--config-dir=mine"], ["--config-dir", "mine"], ["-cd=mine"]])
def test_the_folder_of_configurations_may_stand_anywhere(option):
    """Before, between or behind KEY=VALUE."""
    for words in ([*option, "a=1", "b=2"], ["a=1", *option, "b=2"], ["a=1", "b=2", *option]):
        assert options_first(words) == ([*option, "a=1", "b=2"], [Path("mine").absolute()])

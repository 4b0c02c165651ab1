"""The files and commands of docs/extending.md, as a user would write and run them."""

import json
import re
import shlex
import sys

import pytest

from srlit import train as train_module
from srlit.config.root import FOLDERS, declare_options
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


def test_five_parts_are_five_modules_five_files_and_five_tests():
    kinds = [name.split("/")[0] for name in FILES]
    assert {kind: kinds.count(kind) for kind in kinds} == {"mine": 5, "my_conf": 5, "tests": 5}


def test_the_documents_own_tests_pass(workplace):
    ended = run("pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=workplace)
    assert ended.returncode == 0, ended.stdout
    assert "5 passed" in ended.stdout


def test_all_parts_train_and_are_evaluated_in_one_table(workplace):
    """By `srlit`, with --config-dir in the middle; then beside a run of another network."""
    ended = run("srlit", *TRAIN, *TINY, cwd=workplace)
    assert ended.returncode == 0, ended.stderr
    log = (workplace / "runs/mine/metrics.csv").read_text()
    assert "val/contrast" in log
    assert "train/weighted/half" in log
    other = ("model=edsr_small", "model.width=8", "model.blocks=1", "name=other", *TINY)
    assert run("srlit", "train", *other, cwd=workplace).returncode == 0
    short = ("metrics.names=[mae]", "data.eval_crop=48", "images=1", "paths.store=null")
    ended = run("srlit", *EVALUATE, *short, cwd=workplace)
    assert ended.returncode == 0, ended.stderr
    table = json.loads((workplace / "runs/evaluation/table.json").read_text())
    assert {"mine", "other"} <= {row["name"] for row in table}


@pytest.fixture
def _forget_the_folders():
    """Hydra's store is one for all tests of a process."""
    yield
    del FOLDERS[1:]
    declare_options()


@pytest.mark.usefixtures("_forget_the_folders")
@pytest.mark.parametrize("where", ["first", "last", "equals"])
def test_the_folder_of_configurations_may_stand_anywhere(workplace, monkeypatch, where):
    """`--config-dir DIR` before, between or behind KEY=VALUE, also as `--config-dir=DIR`."""
    overrides = [word for word in TRAIN[1:] if "=" in word]
    option = ["--config-dir=my_conf"] if where == "equals" else ["--config-dir", "my_conf"]
    words = [*overrides, *option] if where == "last" else [*option, *overrides]
    seen = []
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "argv", ["srlit.train", *words, "name=never_made"])
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    monkeypatch.setattr(train_module, "train", seen.append)
    train_module.main()
    assert seen[0].model["_target_"] == "mine.tiny.Tiny"
    assert seen[0].loss.weights.half == 0.5

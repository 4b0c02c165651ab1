from pathlib import Path

from srlit.reports.configuration import ABSENT, differences, flattened
from srlit.reports.run_folders import Run


def run(name, **config):
    paths = {"runs": "out", "run": f"out/{name}"}
    return Run(Path(name), name, None, None, {"name": name, "paths": paths} | config, {})


def test_only_keys_that_differ_are_told():
    one = run("a", seed=0, loss={"l1": 1.0, "lpips": 0.5}, data={"names": ["x", "y"]})
    two = run("b", seed=0, loss={"l1": 1, "lpips": 0.05, "gan": None}, data={"names": ["x"]})
    assert differences([one, two]) == {
        "loss.lpips": ["0.5", "0.05"],
        "loss.gan": [ABSENT, "null"],
        "data.names": ["[x, y]", "[x]"],
    }


def test_a_runs_own_folder_is_no_difference_but_another_folder_is():
    one = run("a", callbacks={"folder": "out/a"}, init_from="elsewhere/x")
    two = run("b", callbacks={"folder": "out/b"}, init_from="elsewhere/y")
    assert list(differences([one, two])) == ["init_from"]


def test_a_configuration_that_is_missing_differs_in_every_key():
    assert differences([run("a", seed=3), run("a")]) == {"seed": ["3", ABSENT]}


def test_lists_of_mappings_are_taken_apart():
    node = {"stages": [{"kind": "blur", "sigma": [0.1, 2]}, {"kind": "noise"}], "empty": {}}
    assert flattened(node) == {
        "stages[0].kind": "blur",
        "stages[0].sigma": "[0.1, 2]",
        "stages[1].kind": "noise",
        "empty": "{}",
    }

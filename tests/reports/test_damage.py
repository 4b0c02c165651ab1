"""A broken file is named in the page; everything else is still there."""

import pytest

from srlit.reports.page import collect
from srlit.reports.run_folders import find_subjects
from srlit.reports.warnings import Warnings
from tests.reports.samples import make_evaluation, make_run


def content(folder):
    warnings = Warnings()
    subjects = find_subjects([folder], warnings)
    return collect(subjects, warnings, image_bytes=2**20, extremes=2)


@pytest.fixture
def folder(tmp_path):
    make_run(tmp_path / "work" / "run")
    return make_evaluation(tmp_path / "work", photos=3)


def missing(found):
    """The parts that are not in the page."""
    (measured,) = found["measurements"] or [{"extremes": {}}]
    (run,) = found["runs"]
    parts = {"curves": found["groups"], "panels": found["panels"], "table": found["measurements"]}
    parts |= {"extremes": measured["extremes"], "figures": found["head"].figures}
    parts |= {"config": run["config"], "command": run["command"]}
    return {part for part, content in parts.items() if not content}


# A list of ten lists of ten lists ...: ten to the power of 29 values in 2 kB.
ALIASES = b"a: &0 [x]\n" + b"".join(
    b"b%d: &%d [%s]\n" % (i, i, b",".join([b"*%d" % (i - 1)] * 10)) for i in range(1, 30)
)
GARBAGE = b"\x00\xff\xfe{[" * 50


@pytest.mark.parametrize(
    ("name", "data", "problem", "lost"),
    [
        ("run/metrics.csv", GARBAGE, "has no complete row", {"curves"}),
        ("run/metrics.csv", b"", "has no complete row", {"curves"}),
        ("run/metrics.csv", b"step,a\n1,2", "has no complete row", {"curves"}),  # torn
        ("run/best.json", b'{"iteration": 60', "line 1 column 16", set()),
        ("run/best.json", b'{"iteration": "60", "metrics": {}}', "iteration is '60'", set()),
        ("run/best.json", b'{"iteration": 60, "metrics": {"a": []}}', "metrics.a is []", set()),
        ("run/run.json", b"[]", "is damaged", {"command"}),
        ("run/config.yaml", b"a: [", "YAML", {"config"}),
        ("run/config.yaml", b"- a", "'- a'", {"config"}),
        ("run/config.yaml", b"", "mapping", {"config"}),
        ("run/config.yaml", b"a: " + b"[" * 100_000, "levels", {"config"}),
        ("run/config.yaml", ALIASES, "values", {"config"}),
        ("run/best.json", b'{"metrics": ' + b"[" * 100_000, "recursion", set()),
        ("run/run.json", b"[" * 100_000, "is damaged", {"command"}),
        ("run/config.yaml", GARBAGE, "decode", {"config"}),
        ("run/panels/iteration_0000060.png", GARBAGE, "image", {"panels"}),
        ("images/000_photo0.png", b"\x89PNG", "image", set()),
        ("table.json", b"{}", "the file is {}", {"table", "extremes"}),
        ("table.json", b'[{"name": "a", "x": null}]', "0.x.float is None", {"table", "extremes"}),
        ("photos.csv", b"name,photo,x\na,b\n", "line 2 is not whole", {"extremes"}),
        ("photos.csv", b"name,photo,x\na,b,c\n", "line 2: could not convert", {"extremes"}),
        ("photos.csv", b"a,b\n1,2\n", "name and photo are no columns", {"extremes"}),
        ("robustness.json", b"[{}]", "0.axes", set()),
        ("interpolation.json", b"7", "the file is 7", set()),
    ],
)
def test_what_is_damaged_is_named_and_left_out(folder, name, data, problem, lost):
    (folder / name).write_bytes(data)
    found = content(folder)
    (warning,) = found["warnings"]
    assert str(folder / name) in warning
    assert problem in warning
    assert missing(found) == lost


def test_a_cell_that_is_no_number_is_a_gap(folder):
    path = folder / "run" / "metrics.csv"
    head, first, *rest = path.read_text().splitlines(keepends=True)
    step, _, *cells = first.split(",")
    path.write_text("".join([head, ",".join([step, "oops", *cells]), *rest]))
    found = content(folder)
    assert found["warnings"] == [f"{path}: 1 cells are no numbers; the curves have gaps there"]
    assert any(drawing.gaps for group in found["groups"] for drawing in group.drawings)


def test_nan_in_best_json_is_shown_as_it_is(folder):
    path = folder / "run" / "best.json"
    path.write_text('{"iteration": 60, "metrics": {"lpips_alex": NaN}}')
    found = content(folder)
    assert found["warnings"] == []
    assert missing(found) == set()

"""srlit.report, as a user starts it."""

import pytest
from PIL import Image

from srlit.config import ConfigError
from srlit.report import overrides, report
from tests.helpers import compose_config, run
from tests.reports.samples import make_evaluation, make_run


@pytest.mark.slow
def test_the_report_shows_presets_and_what_they_draw(tmp_path, photo_folder):
    small = ("presets=[fixed,blind]", "severities=2", "draws=64", f"paths.runs={tmp_path}")
    image = f"photo={photo_folder / '00.png'}"
    result = run("srlit.report", "degradation", image, *small, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "report_degradation"
    sheet = Image.open(folder / "presets.png")
    assert sheet.size == (3 * 120 + 2 * 4, 2 * (96 + 26) + 4)
    for name in ("fixed", "blind"):
        assert Image.open(folder / f"{name}.png").width > 1000
    assert "categorical units" not in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("subject=degradation", "presets=[foggy]"), "degradation=foggy"),
        (("subject=model", "models=[foggy]"), "model=foggy"),
        (("subject=run",), r"folders=\[\]"),
    ],
)
def test_what_is_unknown_or_missing_is_named(tmp_path, words, problem):
    with pytest.raises(ConfigError, match=problem):
        report(compose_config("report", *words, f"paths.runs={tmp_path}"))


def test_the_report_on_one_run_is_one_file_in_its_folder(tmp_path):
    folder = make_run(tmp_path / "phase=3 [a, b]")
    before = set(folder.rglob("*"))
    result = run("srlit.report", folder.name, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert set(folder.rglob("*")) - before == {folder / "report.html"}
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert "<h1>phase=3 [a, b]</h1>" in (folder / "report.html").read_text()


def test_the_report_on_several_folders_is_below_paths_runs(tmp_path):
    runs = [make_run(tmp_path / name) for name in ("one", "two")]
    named = [*runs, make_evaluation(tmp_path / "e")]
    words = [f"folders=[{','.join(map(str, named))}]", f"paths.runs={tmp_path / 'out'}"]
    folder = report(compose_config("report", "subject=run", *words))
    page = (folder / "report.html").read_text()
    assert folder == tmp_path / "out" / "report_run"
    assert "<h1>2 runs</h1>" in page
    assert "photo4.png" in page


def test_a_failure_keeps_the_old_report(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "one")
    (folder / "report.html").write_text("old")
    cfg = compose_config("report", "subject=run", f"folders=[{folder}]", f"paths.run={folder}")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="report.html"):
        report(cfg)
    assert (folder / "report.html").read_text() == "old"
    assert not list(folder.glob(".*.tmp*"))


def test_a_missing_folder_is_named_and_not_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="nothing: .*run, degradation, model"):
        overrides(["nothing", "x=1"])
    assert list(tmp_path.iterdir()) == []


def test_subjects_and_keys_are_passed_on():
    assert overrides(["model", "scale=4"]) == ["subject=model", "scale=4"]
    for words in (["subject=model"], ["--cfg", "job"]):
        assert overrides(words) == words


@pytest.mark.parametrize("name", ["a b,c=[d]", "q\"e'f", "back\\slash", "end\\", '\\"', "{a: b}"])
def test_any_folders_name_reaches_the_configuration(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    words = [word for word in overrides([name]) if not word.startswith("hydra/")]
    cfg = compose_config("report", *words)
    assert (cfg.folders, cfg.paths.run) == ([name], name)

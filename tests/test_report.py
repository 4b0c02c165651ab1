"""The reports, as a user starts them."""

import pytest
from PIL import Image

from srlit.config import ConfigError
from srlit.report import overrides, report
from tests.helpers import compose_config, run
from tests.reports.samples import make_evaluation, make_run


@pytest.mark.slow
def test_the_report_shows_presets_and_what_they_draw(tmp_path, photo_folder):
    picture = photo_folder / "00.png"
    result = run(
        "srlit.report",
        "degradation",
        f"photo={picture}",
        "presets=[fixed,blind]",
        "severities=2",
        "draws=64",
        f"paths.runs={tmp_path}",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "report_degradation"
    with Image.open(folder / "presets.png") as sheet:
        assert sheet.size == (3 * 120 + 2 * 4, 2 * (96 + 26) + 4)
    for name in ("fixed", "blind"):
        with Image.open(folder / f"{name}.png") as plots:
            assert plots.width > 1000
    assert "categorical units" not in result.stderr + result.stdout


def test_an_unknown_subject_or_preset_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match="subject=weather: expected one of run, degradation, model"
    ):
        report(compose_config("report", "subject=weather", f"paths.runs={tmp_path}"))
    result = run(
        "srlit.report", "degradation", "presets=[foggy]", f"paths.runs={tmp_path}", cwd=tmp_path
    )
    assert result.returncode == 1
    assert "no degradation 'foggy': expected some of" in result.stderr


def test_one_run_gets_its_report_and_nothing_else(tmp_path):
    folder = make_run(tmp_path / "phase=3 [a, b]")
    before = set(folder.rglob("*"))
    result = run("srlit.report", folder.name, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert set(folder.rglob("*")) - before == {folder / "report.html"}
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert "<h1>phase=3 [a, b]</h1>" in (folder / "report.html").read_text()


def test_several_folders_get_a_report_below_the_runs(tmp_path):
    named = [
        make_run(tmp_path / "one"),
        make_run(tmp_path / "two"),
        make_evaluation(tmp_path / "e"),
    ]
    words = [f"folders=[{','.join(map(str, named))}]", f"paths.runs={tmp_path / 'out'}"]
    folder = report(compose_config("report", "subject=run", *words))
    page = (folder / "report.html").read_text()
    assert folder == tmp_path / "out" / "report_run"
    assert "<h1>2 runs</h1>" in page
    assert "photo4.png" in page


def test_a_report_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "one")
    (folder / "report.html").write_text("old")
    cfg = compose_config("report", "subject=run", f"folders=[{folder}]", f"paths.run={folder}")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        report(cfg)
    assert (folder / "report.html").read_text() == "old"
    assert not list(folder.glob(".*.tmp*"))


@pytest.mark.parametrize("words", [["nothing"], ["nothing", "x=1"]])
def test_a_word_that_is_no_folder_is_named_and_none_is_made(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="error: nothing: no such folder, and no subject"):
        overrides(words)
    assert list(tmp_path.iterdir()) == []


def test_subjects_and_keys_stay_what_they_were():
    assert overrides(["model", "scale=4"]) == ["subject=model", "scale=4"]
    assert overrides(["subject=model"]) == ["subject=model"]
    assert overrides(["--cfg", "job"]) == ["--cfg", "job"]


@pytest.mark.parametrize("name", ["a b,c=[d]", "q\"e'f", "back\\slash", "end\\", '\\"', "{a: b}"])
def test_any_folders_name_reaches_the_configuration(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    words = [word for word in overrides([name]) if not word.startswith("hydra/")]
    cfg = compose_config("report", *words)
    assert (cfg.folders, cfg.paths.run) == ([name], name)


def test_without_a_folder_the_key_is_named():
    with pytest.raises(ConfigError, match=r"folders=\[\]: expected folders of runs"):
        report(compose_config("report", "subject=run"))

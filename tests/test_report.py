"""The report on degradations, as a user starts it."""

import pytest
from PIL import Image

from srlit.config import ConfigError
from srlit.report import report
from tests.helpers import compose_config, run


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
    with pytest.raises(ConfigError, match="subject=weather: expected one of degradation, model"):
        report(compose_config("report", "subject=weather", f"paths.runs={tmp_path}"))
    result = run(
        "srlit.report", "degradation", "presets=[foggy]", f"paths.runs={tmp_path}", cwd=tmp_path
    )
    assert result.returncode == 1
    assert "no degradation 'foggy': expected some of" in result.stderr

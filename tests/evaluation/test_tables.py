"""Tables as text."""

import re

import pytest

from srlit.evaluation import tables

ROWS = [
    {"name": "a|b", "psnr_rgb_b0": 25.123, "mae": 0.02},
    {"name": "c_d", "psnr_rgb_b0": float("nan"), "mae": 0.01},
]


def test_the_best_of_each_metric_is_bold_and_differences_are_starred():
    table = tables.markdown_table(ROWS, {("c_d", "mae")})
    assert r"| a\|b | **25.12** | 0.0200 |" in table
    assert r"| c_d | nan | **0.0100**\* |" in table
    latex = tables.latex_table(ROWS, {("c_d", "mae")})
    assert r"a|b & \textbf{25.12} & 0.0200 \\" in latex
    assert r"c\_d & nan & \textbf{0.0100}$^{*}$ \\" in latex


NAMES = (
    "psnr_rgb_b0",
    "ssim_rgb_b0",
    "psnr_y_b4",
    "mae",
    "lpips_alex_untrained",
    "niqe_y_b4",
    "dists",
)


@pytest.mark.parametrize("columns", [["80"], [], ["30"]])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_the_console_cuts_no_number_and_fits_80_columns(capsys, monkeypatch, columns, count):
    monkeypatch.delenv("COLUMNS", raising=False)
    for width in columns:
        monkeypatch.setenv("COLUMNS", width)
    long = "runs/a_sweep/of weights/iteration_0001000 [x]"
    rows = [{"name": name} | dict.fromkeys(NAMES[:count], 12.34567) for name in ("a", long)]
    tables.print_table("title [a]", rows, {("a", "mae")})
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "title [a]" in shown
    assert "…" not in shown
    assert re.sub(r"[^0-9.]", " ", shown).split().count("12.35") == 2 * count


def test_the_number_of_decimals_follows_the_metric_and_the_value():
    shown = [tables.format_value(value) for value in (25.123, -10.0, 0.12345, 7)]
    assert shown == ["25.12", "-10.00", "0.1235", "7"]
    assert tables.format_value(9.8765, "psnr_rgb_b0") == "9.88"


def test_columns_are_found_by_name_and_ranked_by_direction():
    assert tables.first_metric(ROWS[0], "psnr") == "psnr_rgb_b0"
    assert tables.first_metric(ROWS[0], "lpips") is None
    assert tables.best_value("psnr_rgb_b0", ROWS) == 25.123
    assert tables.best_value("mae", ROWS) == 0.01
    assert tables.best_value("name", ROWS) is None

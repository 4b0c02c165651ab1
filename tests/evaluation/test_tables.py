"""Tables as text."""

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


def test_the_console_shows_every_column(capsys):
    tables.print_table("title [a]", ROWS)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("title [a]", "psnr_rgb_b0", "25.12", "0.0100", "c_d"))


def test_the_number_of_decimals_follows_the_value():
    shown = [tables.format_value(value) for value in (25.123, -10.0, 0.12345, 7)]
    assert shown == ["25.12", "-10.00", "0.1235", "7"]


def test_columns_are_found_by_name_and_ranked_by_direction():
    assert tables.first_metric(ROWS[0], "psnr") == "psnr_rgb_b0"
    assert tables.first_metric(ROWS[0], "lpips") is None
    assert tables.best_value("psnr_rgb_b0", ROWS) == 25.123
    assert tables.best_value("mae", ROWS) == 0.01
    assert tables.best_value("name", ROWS) is None

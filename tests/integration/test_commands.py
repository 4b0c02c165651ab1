"""The command `srlit` and its subcommands as processes."""

import subprocess
import sys

from tests.helpers import run


def test_the_command_lists_its_subcommands_and_refuses_others(tmp_path):
    ended = run("srlit", cwd=tmp_path)
    assert ended.returncode == 0
    for name in ("train", "evaluate", "select", "upscale", "tune", "demo"):
        assert f"  {name}" in ended.stdout
    unknown = run("srlit", "tarin", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "'tarin'" in unknown.stderr


def test_a_mistake_on_the_command_line_is_one_line_and_a_code(tiny_run, tmp_path):
    ended = run("srlit", "upscale", "input=/nowhere", f"checkpoint={tiny_run}", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].startswith("error: input=/nowhere: ")
    assert "Traceback" not in ended.stderr


def test_slow_packages_are_imported_only_where_they_are_needed(tiny_run, tmp_path):
    """Commands import neither torch nor lightning for their help; an evaluation no lightning."""
    code = (
        "import sys, srlit.train, srlit.evaluate, srlit.select, srlit.upscale, srlit.tune;"
        "import srlit.demo;"
        "assert not {'torch', 'lightning', 'torchvision'} & set(sys.modules), 'imported early';"
        f"sys.argv[1:] = ['checkpoints=[{tiny_run}]', 'paths.runs={tmp_path}', 'data.eval_crop=64',"
        "'metrics.names=[mae]', 'weights.allow_untrained=true']; srlit.evaluate.main();"
        "assert not {'lightning', 'torchvision', 'torchmetrics'} & set(sys.modules), 'imported'"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr

"""The wheel: conf/ travels in it, and a user's own --config-dir works beside it."""

import subprocess
import sys
import zipfile

import pytest

from tests.helpers import REPOSITORY, TINY, run


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel built from the repository, unpacked as pip does, away from the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run("build", "--wheel", "--no-isolation", "--outdir", str(folder), cwd=REPOSITORY)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_installed(installed, cwd, *arguments):
    """Run the unpacked package; the editable install must not be what is imported."""
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r});"
        "import srlit, srlit.config; "
        f"assert srlit.__file__.startswith({str(installed)!r}), srlit.__file__;"
        f"assert str(srlit.config.CONF_DIR).startswith({str(installed)!r}), srlit.config.CONF_DIR;"
        f"sys.argv = ['srlit', *{list(arguments)!r}];"
        "from srlit.__main__ import main; main()"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_every_conf_file_is_in_the_wheel(installed):
    ours = {p.relative_to(REPOSITORY / "conf") for p in (REPOSITORY / "conf").rglob("*.yaml")}
    theirs = {
        p.relative_to(installed / "srlit/conf") for p in (installed / "srlit/conf").rglob("*")
    }
    assert ours <= theirs
    assert len(ours) > 40


def test_what_the_report_is_made_of_is_in_the_wheel(installed):
    ours = {p.name for p in (REPOSITORY / "srlit/reports/template").iterdir()}
    assert {"page.html", "page.css", "page.js"} < ours
    assert ours == {p.name for p in (installed / "srlit/reports/template").iterdir()}


def test_a_training_with_a_users_own_experiment_runs_from_the_wheel(installed, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "model").mkdir()
    (tmp_path / "mine" / "model" / "mine.yaml").write_text("defaults: [edsr_small]\nblocks: 2\n")
    (tmp_path / "mine" / "experiment" / "my.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /loss: l1_lpips\n"
        "  - override /model: mine\nlabel: mine\n"
    )
    ended = run_installed(
        installed, tmp_path, "train", "--config-dir=mine", "+experiment=my", *TINY
    )
    assert ended.returncode == 0, ended.stderr
    config = (tmp_path / "runs" / "mine" / "config.yaml").read_text()
    assert "Charbonnier" in config
    assert "blocks: 2" in config

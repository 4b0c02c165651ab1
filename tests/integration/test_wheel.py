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


@pytest.mark.parametrize(
    ("folder", "place", "enough"),
    [("conf", "srlit/conf", 40), ("srlit/reports/template", "srlit/reports/template", 3)],
)
def test_files_that_are_no_modules_are_in_the_wheel(installed, folder, place, enough):
    ours = {p.relative_to(REPOSITORY / folder) for p in (REPOSITORY / folder).rglob("*.*")}
    assert ours <= {p.relative_to(installed / place) for p in (installed / place).rglob("*")}
    assert len(ours) >= enough


def test_a_training_with_a_users_own_experiment_runs_from_the_wheel(installed, tmp_path):
    chosen = "[{override /loss: l1_lpips}, {override /model: mine}]"
    for name, text in {
        "model/mine": "defaults: [edsr_small]\nblocks: 2\n",
        "experiment/my": f"# @package _global_\ndefaults: {chosen}\nlabel: mine\n",
    }.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True)
        (tmp_path / "mine" / f"{name}.yaml").write_text(text)
    arguments = ("train", "--config-dir=mine", "+experiment=my", *TINY)
    ended = run_installed(installed, tmp_path, *arguments)
    assert ended.returncode == 0, ended.stderr
    config = (tmp_path / "runs" / "mine" / "config.yaml").read_text()
    assert all(chosen in config for chosen in ("Charbonnier", "blocks: 2"))

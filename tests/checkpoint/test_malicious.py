"""No file runs code or fills the memory, whichever way it is loaded."""

import json

import pytest

from tests.checkpoint import attacks
from tests.helpers import REPOSITORY, run

READERS = ("upscale", "evaluate", "select", "init_from", "resume", "lightning", "load_generator")
BUILDING = {"upscale", "evaluate", "select", "load_generator"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Reader to file to what happened."""
    folder = tmp_path_factory.mktemp("malicious")
    attacks.write_all(folder / "files", folder / "executed")
    (folder / "work").mkdir()
    where = (str(folder / "files"), str(folder / "work"))
    ended = run("tests.checkpoint.witness", *where, cwd=REPOSITORY)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert not (folder / "executed").exists()
    return json.loads(ended.stdout.splitlines()[-1])


def test_the_witness_sees_what_pickle_does(outcomes):
    """Otherwise the silence below would prove nothing."""
    assert outcomes["pickle"]["events"] == ["pickle.find_class ('posix',)", "os.system (b'true',)"]


@pytest.mark.parametrize("reader", READERS)
def test_no_malicious_file_gets_through(outcomes, reader):
    found = dict(outcomes[reader])
    assert found.pop("harmless.safetensors")["error"] is None
    assert len(found) == len(attacks.STREAMS) * len(attacks.CONTAINERS) + len(attacks.CARDS)
    for name, outcome in found.items():
        where = f"{name} through {reader}: {outcome}"
        assert outcome["events"] == [], where
        assert outcome["seconds"] < 5, where
        assert outcome["megabytes"] < 500, where
        if reader not in BUILDING and name.startswith("card_"):
            continue  # a card that nobody builds from is text; resuming compares it
        assert {"CheckpointError", "ConfigError"} & set(outcome["error"] or ()), where
        # A run's checkpoints are known by their iteration, so select meets each under such a name.
        file = "iteration_0000001.safetensors" if reader == "select" else name
        assert file in outcome["message"], where
        assert outcome["message"].isprintable(), where

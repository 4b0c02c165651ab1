"""Running the command at hand once more; under Hydra, tests/integration/test_ranks.py does."""

import sys
from pathlib import Path

from srlit.config import command_again, in_multirun


def test_outside_of_hydra_a_script_runs_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["my script.py", "a b"])
    command, folder = command_again(1)
    assert command == [sys.executable, "my script.py", "a b"]
    assert folder == str(Path.cwd())
    assert not in_multirun()

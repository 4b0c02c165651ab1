"""SIGKILL and SIGTERM at any moment: the resumed run ends at the same bits.

`pytest tests/integration/test_kill.py --kills 100` kills that often at random moments.
"""

import random
import shutil
import time

import pytest

from srlit.checkpoint import load_checkpoint
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.checkpoint.runs import checkpoints_of, read_record
from tests.integration.survival import (
    ADVERSARIAL,
    ITERATIONS,
    differences,
    go,
    kill_at_random,
    outcome,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert go(folder, *ADVERSARIAL) == 0
    return outcome(folder)


def test_two_undisturbed_runs_are_the_same_and_ten_iterations_are_ten(undisturbed, tmp_path):
    assert go(tmp_path, *ADVERSARIAL) == 0
    again = outcome(tmp_path)
    assert differences(undisturbed, again) == []
    steps = [int(row["step"]) for row in again["rows"]]
    assert steps == [2, 3, 4, 6, 6, 8, 8]  # a row each second iteration, validations at 3, 6, 8
    assert again["tensors"][".iteration"] == ITERATIONS


@pytest.mark.parametrize(
    ("moment", "turn"),
    [
        ("between_the_updates", 4),
        ("within_a_save", 2),
        ("before_the_rename", 2),
        ("before_the_ranking", 2),
        ("within_a_rotation", 2),
        ("within_a_validation", 6),
        ("within_a_validation", ITERATIONS),
        ("within_a_row", 5),
    ],
)
def test_a_kill_at_an_aimed_moment_changes_nothing(undisturbed, tmp_path, moment, turn):
    assert go(tmp_path, *ADVERSARIAL, moment=moment, turn=turn) == -9
    assert go(tmp_path, *ADVERSARIAL) == 0
    assert differences(undisturbed, outcome(tmp_path)) == []


@pytest.mark.slow
def test_workers_may_change_between_kill_and_resume(undisturbed, tmp_path):
    assert go(tmp_path, *ADVERSARIAL, "data.workers=2", moment="between_the_updates", turn=5) == -9
    assert go(tmp_path, *ADVERSARIAL, "data.workers=1", moment="within_a_validation", turn=6) == -9
    assert go(tmp_path, *ADVERSARIAL, "data.workers=null") == 0
    assert differences(undisturbed, outcome(tmp_path)) == []


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(undisturbed, tmp_path, request):
    kills = request.config.getoption("--kills")
    draws = random.Random(0)
    started = time.monotonic()
    assert go(tmp_path / "timed", *ADVERSARIAL) == 0
    whole = time.monotonic() - started
    left, part = kills, 0
    while left > 0:
        part += 1
        folder = tmp_path / str(part)
        for _ in range(min(left, 3)):  # up to three kills of one training
            left -= 1
            if kill_at_random(folder, *ADVERSARIAL, within=whole, draws=draws) == 0:
                break
        assert go(folder, *ADVERSARIAL) == 0
        assert differences(undisturbed, outcome(folder)) == []


# -- controls: what a checkpoint holds is needed, draws follow the iteration ----------------------


def zero_discriminator(checkpoint):
    for name, value in checkpoint["state_dict"].items():
        if name.startswith("discriminator."):
            value.zero_()


def replace_ema(checkpoint):
    for name, value in checkpoint["callbacks"]["EMA"]["averaged"].items():
        value.copy_(checkpoint["state_dict"][f"generator.{name}"])


CHANGES = {
    "generator's optimizer": lambda c: c["optimizer_states"][0].update(state={}),
    "discriminator's optimizer": lambda c: c["optimizer_states"][1].update(state={}),
    "discriminator": zero_discriminator,
    "ema": replace_ema,
    "schedules": lambda c: [state.update(last_epoch=0) for state in c["lr_schedulers"]],
    "iteration": lambda c: c.update(iteration=c["iteration"] - 1),
    "running means": lambda c: c.update(running_means={"sums": {}, "counts": {}}),
    "history": lambda c: c["callbacks"]["LPIPSCheckpoint"].update(rows=[]),
}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted")
    assert go(folder, *ADVERSARIAL, moment="between_the_updates", turn=4) == -9
    return folder


@pytest.mark.parametrize("change", CHANGES)
def test_control_each_saved_item_is_needed(undisturbed, interrupted, tmp_path, change):
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    [path] = checkpoints_of(tmp_path / "runs" / "a").values()
    checkpoint = load_checkpoint(path)
    CHANGES[change](checkpoint)
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    if go(tmp_path, *ADVERSARIAL) == 0:
        assert differences(undisturbed, outcome(tmp_path)) != []


@pytest.mark.slow
def test_control_draws_follow_the_iteration(tmp_path):
    edsr = [text for text in ADVERSARIAL if text.startswith("model.")]
    noisy = (*(t for t in ADVERSARIAL if t not in edsr), "model=unet_small", "model.dropout=0.2")
    assert go(tmp_path / "a", *noisy, moment="unseeded") == 0
    assert go(tmp_path / "b", *noisy, moment="between_the_updates", turn=4) == -9
    assert go(tmp_path / "b", *noisy) == 0
    assert differences(outcome(tmp_path / "a"), outcome(tmp_path / "b")) != []


# -- asked to stop --------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0, 2, 4, ITERATIONS - 1])
def test_sigterm_saves_the_current_iteration_and_exits_143(undisturbed, tmp_path, turn):
    """At 2 and at the end a validation is due; at 0 nothing has been saved before."""
    assert go(tmp_path, *ADVERSARIAL, moment="asked_to_stop", turn=turn) == 143
    run = tmp_path / "runs" / "a"
    assert max(checkpoints_of(run)) == turn + 1
    assert read_record(run).status == "stopped"
    assert go(tmp_path, *ADVERSARIAL) == 0
    assert differences(undisturbed, outcome(tmp_path)) == []


def test_sigterm_during_a_validation_does_not_wait_for_its_end(undisturbed, tmp_path):
    assert go(tmp_path, *ADVERSARIAL, moment="asked_to_stop_validating", turn=6) == 143
    assert max(checkpoints_of(tmp_path / "runs" / "a")) == 6
    assert go(tmp_path, *ADVERSARIAL, moment="asked_to_stop_validating", turn=8) == 143
    assert go(tmp_path, *ADVERSARIAL) == 0
    assert differences(undisturbed, outcome(tmp_path)) == []


def test_a_due_validation_that_is_killed_leaves_one_row(undisturbed, tmp_path):
    assert go(tmp_path, *ADVERSARIAL, moment="asked_to_stop", turn=2) == 143
    assert go(tmp_path, *ADVERSARIAL, moment="within_a_save", turn=1) == -9
    assert go(tmp_path, *ADVERSARIAL) == 0
    assert differences(undisturbed, outcome(tmp_path)) == []


@pytest.mark.parametrize(("by", "code"), [("sigterm", 143), ("ctrl_c", 130), ("hangup", 129)])
def test_a_signal_to_the_whole_group_leaves_the_workers_at_work(undisturbed, tmp_path, by, code):
    busy = (*ADVERSARIAL, "data.workers=2")
    assert go(tmp_path, *busy, moment=f"whole_group_asked_by_{by}", turn=4) == code
    assert max(checkpoints_of(tmp_path / "runs" / "a")) == 5
    assert go(tmp_path, *busy) == 0
    assert differences(undisturbed, outcome(tmp_path)) == []


def test_a_stopped_worker_ends_the_training_which_goes_on_later(undisturbed, tmp_path):
    limited = (*ADVERSARIAL, "data.workers=2", "data.worker_timeout_s=2")
    assert go(tmp_path, *limited, moment="stopped_worker", turn=1) == 1
    assert read_record(tmp_path / "runs" / "a").status == "failed"
    assert go(tmp_path, *ADVERSARIAL) == 0
    assert differences(undisturbed, outcome(tmp_path)) == []


@pytest.mark.slow
def test_twenty_sigterms_in_a_row(tmp_path):
    """The training still advances by one iteration each time."""
    longer = (*ADVERSARIAL, "iterations=21")
    for turn in range(20):
        assert go(tmp_path / "a", *longer, moment="asked_to_stop", turn=turn) == 143
        assert max(checkpoints_of(tmp_path / "a" / "runs" / "a")) == turn + 1
    assert go(tmp_path / "a", *longer) == 0
    assert go(tmp_path / "b", *longer) == 0
    assert differences(outcome(tmp_path / "a", 21), outcome(tmp_path / "b", 21)) == []

import torch

from srlit.phases.finite_check import FiniteCheck


def noted(check, network, updates):
    for iteration, finite in updates:
        check.note(network, iteration, torch.tensor(finite))
    return check


def test_updates_are_read_once_by_network_and_iteration():
    check = noted(FiniteCheck(4), "generator", [(0, True), (1, False), (2, True)])
    noted(check, "discriminator", [(2, False)])
    expected = {"generator": {0: True, 1: False, 2: True}, "discriminator": {2: False}}
    assert check.read() == expected
    assert check.read() == {}


def test_one_skipped_update_marks_an_iteration_of_several():
    check = noted(FiniteCheck(2), "discriminator", [(3, True), (3, False), (3, True), (4, True)])
    assert check.read() == {"discriminator": {3: False, 4: True}}


def test_only_the_last_iterations_are_remembered():
    check = noted(FiniteCheck(2), "generator", [(i, True) for i in range(9)])
    assert check.read() == {"generator": {7: True, 8: True}}


def test_unread_updates_are_kept_by_a_resume():
    state = noted(FiniteCheck(4), "generator", [(5, True), (6, False)]).state_dict()
    resumed = FiniteCheck(4)
    resumed.load_state_dict(state, torch.device("cpu"))
    assert noted(resumed, "generator", [(7, True)]).read() == {
        "generator": {5: True, 6: False, 7: True}
    }
    assert resumed.state_dict() == {}

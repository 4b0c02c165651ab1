"""Verdicts on updates that wait on the device until they are read."""

import torch

from srlit.phases.finite_check import FiniteCheck


def judged(guard, network, verdicts):
    for iteration, finite in verdicts:
        guard.judge(network, iteration, torch.tensor(finite))
    return guard


def test_verdicts_are_read_once_by_network_and_iteration():
    guard = judged(FiniteCheck(4), "generator", [(0, True), (1, False), (2, True)])
    judged(guard, "discriminator", [(2, False)])
    assert guard.read() == {
        "generator": {0: True, 1: False, 2: True},
        "discriminator": {2: False},
    }
    assert guard.read() == {}


def test_one_bad_update_marks_an_iteration_of_several():
    guard = judged(FiniteCheck(4), "discriminator", [(3, True), (3, False), (3, True), (4, True)])
    assert guard.read() == {"discriminator": {3: False, 4: True}}


def test_unread_verdicts_go_on_after_a_resume():
    state = judged(FiniteCheck(4), "generator", [(5, True), (6, False)]).state_dict()
    again = FiniteCheck(4)
    again.load_state_dict(state, torch.device("cpu"))
    assert judged(again, "generator", [(7, True)]).read() == {
        "generator": {5: True, 6: False, 7: True}
    }
    assert again.state_dict() == {}

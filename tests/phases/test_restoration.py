import pytest

from tests.phases.tiny_phases import options, restoration


def test_an_adversarial_weight_is_refused():
    with pytest.raises(ValueError, match=r"loss\.weights.*'adversarial'"):
        restoration(loss=options(adversarial=True)["loss"])

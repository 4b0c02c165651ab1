import re

import torch

from srlit.checkpoint.messages import differences, in_words, printable, weight_differences


def test_differences_name_the_key():
    recorded, current = {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3, "d": 4}}
    [changed, added] = in_words(differences(recorded, current, "model"))
    assert re.match(r"model\.b\.c: 2.*3", changed)
    assert added.startswith("model.b.d: ")


def test_weights_that_do_not_fit_are_named_with_their_shapes():
    ours = {"a": torch.ones(2), "b": torch.ones(3)}
    expected, came = weight_differences(ours, {"a": torch.ones(2), "c": torch.ones(4)})
    assert ("b (3,)" in expected, "c (4,)" in came) == (True, True)
    assert weight_differences(ours, ours) == []


def test_text_from_a_file_is_short_and_obeyed_by_no_terminal():
    assert printable("a\x1b[2Jb") == "a\\x1b[2Jb"
    assert len(printable("a" * 10_000)) < 300

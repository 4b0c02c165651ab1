import torch

from srlit.checkpoint.messages import card_differences, printable, weight_differences


def test_differences_name_the_key():
    recorded, current = {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3, "d": 4}}
    lines = card_differences(recorded, current, "model")
    assert [line.partition(":")[0] for line in lines] == ["model.b.c", "model.b.d"]
    assert "2" in lines[0]
    assert "3" in lines[0]


def test_weights_that_do_not_fit_are_named_with_their_shapes():
    ours, theirs = (
        {"a": torch.ones(2), "b": torch.ones(3)},
        {"a": torch.ones(2), "c": torch.ones(4)},
    )
    expected, came = weight_differences(ours, theirs)
    assert ("b (3,)" in expected, "c (4,)" in came) == (True, True)
    assert weight_differences(ours, ours) == []


def test_text_from_a_file_is_short_and_obeyed_by_no_terminal():
    assert printable("a\x1b[2Jb") == "a\\x1b[2Jb"
    assert len(printable("a" * 10_000)) < 300

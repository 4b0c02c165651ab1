"""Small files are read within limits, and errors name the file."""

import csv
import json
import os
import re
import time

import pytest

from srlit.utils.small_files import (
    MAX_DEPTH,
    SmallFileError,
    parse_json,
    plain_text,
    quoted_text,
    read_json,
    read_text,
    read_yaml,
)

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]\n" for i in range(1, 30))
RECURSIVE = "a: &a\n  b: *a\n"
BINARY = b"\x00\xff\xfe\x80" * 9


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_json, b""),
        (read_json, BINARY),
        (read_json, b'{"a": '),
        (read_json, b"[" * 100_000),
        (read_json, b'{"a":' * 90_000 + b"1" + b"}" * 90_000),
        (read_json, b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)),
        (read_json, b"1" * 10_000),
        (read_yaml, b""),
        (read_yaml, b"# nothing\n"),
        (read_yaml, BINARY),
        (read_yaml, b"- a"),
        (read_yaml, b"text"),
        (read_yaml, b"a: ["),
        (read_yaml, b"a: " + b"[" * 100_000),
        (read_yaml, b"a: " + b"{a: " * (MAX_DEPTH + 1) + b"}" * (MAX_DEPTH + 1)),
        (read_yaml, b"? [a]\n: 1\n"),
        (read_yaml, b"a: !!python/object/apply:os.system [true]\n"),
        (read_yaml, b"a: ${" + b"${a:" * 300),
        (read_yaml, BOMB.encode()),
        (read_yaml, RECURSIVE.encode()),
        (read_yaml, b"- a\n" * 100_000),
        (read_yaml, b"a: *a\n"),
    ],
    ids=range(22),
)
def test_damaged_and_hostile_files_are_refused_at_once_and_named(tmp_path, read, content):
    path = tmp_path / "some.file"
    path.write_bytes(content)
    start = time.process_time()
    with pytest.raises(SmallFileError) as caught:
        read(path)
    assert time.process_time() - start < 5
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("read", [read_text, read_json, read_yaml])
def test_too_large_files_and_pipes_are_not_read(tmp_path, read):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    pipes = [tmp_path / "pipe"] if hasattr(os, "mkfifo") else []
    for pipe in pipes:
        os.mkfifo(pipe)
    for refused in (path, tmp_path, *pipes):
        with pytest.raises(SmallFileError, match=re.escape(str(refused))):
            read(refused)
    with pytest.raises(FileNotFoundError, match="none"):
        read(tmp_path / "none")


def test_the_limit_can_be_chosen(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2]")
    assert read_json(tmp_path / "a.json", max_bytes=6) == [1, 2]
    with pytest.raises(SmallFileError, match=r"a\.json.*\b5\b"):
        read_json(tmp_path / "a.json", max_bytes=5)


def test_what_srlit_and_people_write_is_read(tmp_path):
    path = tmp_path / "some.file"
    content = {"a": [1, float("inf"), None, "\udc80 é"], "b": {"c": {}}}
    path.write_text(json.dumps(content))
    assert read_json(path) == content
    deepest = json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert parse_json(json.dumps(deepest)) == deepest
    path.write_text("a: " + json.dumps(deepest[0]))
    assert read_yaml(path) == {"a": deepest[0]}
    # With the mark that Windows' editors put first, a few aliases, and what omegaconf reads anew.
    text = "\ufeffa: &a {lr: 1e-4}\nb: [*a, *a]\nc: ${a.lr}\nd: 2020-01-01\ne:\n  <<: *a\n  x: é\n"
    path.write_text(text, encoding="utf-8")
    a = {"lr": 1e-4}
    assert read_yaml(path) == {
        "a": a, "b": [a, a], "c": "${a.lr}", "d": "2020-01-01", "e": a | {"x": "é"}
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["=1+1", "+x", "-x", "@SUM(A1)", "\tx", "\rx", "'=x", "'x", "a=1", "", "0001.png", "é"]
)
def test_no_text_in_a_table_begins_like_a_formula(tmp_path, text):
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([quoted_text(text), quoted_text(-1.5)])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        [[found, number]] = csv.reader(file)
    assert not found.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert (plain_text(found), number) == (text, "-1.5")
    assert found == text or text[0] in "=+-@\t\r'"

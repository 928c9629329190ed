"""What reaches a terminal: nothing invisible, nothing that is read as markup, JSON that any parser takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gradviz.cli.terminal import ago, complain, print_facts, print_json, print_table, say, shown


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("encoder.layers.0.weight", "encoder.layers.0.weight"),
        ("层.权重", "层.权重"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("one\ntwo\r", "one\\ntwo\\r"),
        ("right\u202eleft", "right\\u202eleft"),
        ("nul\0", "nul\\x00"),
        ("lone \ud800", "lone \\ud800"),
    ],
)
def test_invisible_characters_are_spelled_out(name: str, safe: str) -> None:
    assert shown(name) == safe
    shown(name).encode()


def test_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "[red]x[/red] [link=http://x]y[/link]"
    say(hostile)
    print_table(["run"], [[hostile]])
    print_facts([("name", hostile)])
    complain(hostile)
    printed = capsys.readouterr()
    assert printed.out.count(hostile) == 3
    assert printed.err.count(hostile) == 1


def test_a_path_stays_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/".join(["folder"] * 60)
    say(path)
    assert capsys.readouterr().out == path + "\n"


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    print_json({4: [float("nan"), float("inf"), 0.5], "path": Path("a"), "at": moment, "name": "[b]层\x1b"})
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert printed == {
        "4": [None, None, 0.5],
        "path": "a",
        "at": "2026-01-02T00:00:00+00:00",
        "name": "[b]层\x1b",
    }


def test_facts_that_are_not_known_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("state", "live"), ("gaps", None)])
    assert capsys.readouterr().out.split() == ["state", "live"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (-1, "0 s"), (59.4, "59 s"), (60, "1 min"), (7200, "2 h"), (864000, "10 d")],
)
def test_times_as_a_person_says_them(seconds: float | None, words: str) -> None:
    assert ago(seconds) == words

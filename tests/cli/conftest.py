"""A command as a user types it, run in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gradviz.cli import main


class Answer(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def gradviz(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Answer]:
    """`gradviz(*arguments)` in an empty folder; paths may be given as such."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADVIZ_DIR", raising=False)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["gradviz", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main()
        code = leaving.value.code
        return Answer(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run

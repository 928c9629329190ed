"""`watch(..., on_sigterm="flush")`: what is queued is there, and SIGTERM does what it did before."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import torch

import gradviz
from gradviz.errors import WatchError
from tests.faults.training import start

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as Unix has them")

SCRIPT = """
writers.RunWriter.create.__func__.__kwdefaults__["flush_seconds"] = 3600.0
model, optimizer = build()
told = threading.Event()
{before}
recorder = gradviz.watch(model, optimizer, run_dir=runs, on_sigterm={wanted!r})
for _ in range(3):
    window(model, optimizer)
print(recorder.run_path, flush=True)
told.wait(60)
{after}
"""
MINE = "signal.signal(signal.SIGTERM, lambda *_: (print('mine', flush=True), told.set()))"


def ended(
    folder: Path, *, wanted: str | None, before: str = "", after: str = ""
) -> tuple[int, str, int, str]:
    """Exit code, what it said, events on disk and the state after SIGTERM."""
    process = start(SCRIPT.format(wanted=wanted, before=before, after=after), folder)
    path = process.stdout.readline().strip()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    run = gradviz.open_run(path)
    assert run.verify() == []
    assert process.returncode is not None, err
    return process.returncode, out.strip(), len(run.events()), str(run.state)


def test_what_is_queued_is_written_and_the_process_ends_as_ever(tmp_path: Path) -> None:
    assert ended(tmp_path / "asked", wanted="flush") == (-signal.SIGTERM, "", 12, "interrupted")
    assert ended(tmp_path / "not", wanted=None) == (-signal.SIGTERM, "", 0, "interrupted")


def test_the_handler_that_was_there_is_called(tmp_path: Path) -> None:
    asked = ended(tmp_path, wanted="flush", before=MINE, after="print(shown(recorder.run_path)); os._exit(5)")
    assert asked == (5, "mine\n12", 12, "interrupted")


def test_a_signal_that_was_ignored_is_ignored(tmp_path: Path) -> None:
    ignored = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    script = SCRIPT.replace(
        "told.wait(60)", "os.kill(os.getpid(), signal.SIGTERM); print(shown(recorder.run_path))"
    )
    process = start(script.format(wanted="flush", before=ignored, after=""), tmp_path)
    out, err = process.communicate()
    assert (process.returncode, out.split()[1:]) == (0, ["12"]), err


def test_closing_takes_the_handler_away(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with gradviz.watch(torch.nn.Linear(2, 1), run_dir=tmp_path, on_sigterm="flush"):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    with pytest.raises(WatchError, match="on_sigterm='close'"):
        gradviz.watch(model, run_dir=tmp_path, on_sigterm="close", strict=True)  # type: ignore[arg-type]
    refused: list[str] = []

    def elsewhere() -> None:
        with pytest.raises(WatchError, match="main thread") as error:
            gradviz.watch(model, run_dir=tmp_path, on_sigterm="flush", strict=True)
        refused.append(str(error.value))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(refused) == 1
    assert list(tmp_path.iterdir()) == []

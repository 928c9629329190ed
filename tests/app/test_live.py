"""How a run stands, and why the page thinks so: sentences for every end that a recording can have."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dashboard_stage
import pytest
from dashboard_stage import MORE

from gradviz.schema import RunState
from gradviz.store.locks import release_lock, take_lock
from gradviz.store.standing import standing_of, was_let_go
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run

PARENT = Path(__file__).parents[2]
WRITER = """
import sys
from tests.app.recorded import open_writer, write_windows
from pathlib import Path
writer = open_writer(Path(sys.argv[1]), "killed")
write_windows(writer, [4] * 3)
writer.flush()
print(writer.path, flush=True)
sys.stdin.read()
"""


def plain(words: str) -> str:
    return words.replace("\\", "")


def change_heartbeat(run: Path, **fields: Any) -> None:
    path = run / "heartbeat-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def killed_run(folder: Path) -> tuple[Path, int]:
    """A run whose writer was really killed, and the number of its process."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        cwd=PARENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(PARENT)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    path = Path(process.stdout.readline().strip())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    return path, process.pid


def test_a_killed_recorder_is_said_to_be_gone_and_why(open_page: Open, folder: Path) -> None:
    path, pid = killed_run(folder)
    assert was_let_go(path, 0)
    app = open_page("accumulation", run=path.name)
    assert_sound(app)
    words = plain(spoken(app))
    assert "interrupted" in words
    assert f"process {pid} on " in words
    assert "no longer holds the lock" in words
    assert not app.toggle  # nothing to pause: the page is static


def test_a_silent_recorder_on_another_machine(open_page: Open, folder: Path) -> None:
    path = record_run(folder)
    (path / "lock-0").unlink()
    change_heartbeat(path, state="live", host="node-17", pid=4, written=time.time() - 600)
    words = plain(spoken(open_page("gradient_flow", run=path.name)))
    assert "No sign of life from the recorder on node-17 for 10 minutes" in words


def test_no_heartbeat_at_all(open_page: Open, folder: Path) -> None:
    path = record_run(folder)
    (path / "heartbeat-0.json").unlink()
    assert "left no sign of life" in plain(spoken(open_page("gradient_flow", run=path.name)))


@pytest.mark.parametrize(
    ("state", "reason", "sentence"),
    [
        (RunState.CRASHED, "ZeroDivisionError", "A ZeroDivisionError left the training loop"),
        (RunState.CRASHED, None, "An exception left the training loop"),
        (RunState.STOPPED, "KeyboardInterrupt", "Stopped by Ctrl-C (KeyboardInterrupt)"),
        (RunState.STOPPED, "SystemExit", "The program left while it was recording (SystemExit)"),
        (RunState.SUPERSEDED, None, "The same model was watched again"),
        (RunState.FINISHED, "the disk is full", "ended before the training had to: the disk is full"),
    ],
)
@pytest.mark.parametrize("page", ["gradient_flow", "accumulation"])
def test_an_end_says_why(
    open_page: Open, folder: Path, page: str, state: RunState, reason: str | None, sentence: str
) -> None:
    path = record_run(folder)
    change_heartbeat(path, state=state.value, reason=reason)
    app = open_page(page, run=path.name)
    assert_sound(app)
    assert sentence in plain(spoken(app))
    assert (len(app.warning) == 1) == (state is RunState.CRASHED)


def test_an_ordinary_end_needs_no_sentence(open_page: Open, folder: Path) -> None:
    app = open_page("gradient_flow", run=record_run(folder).name)
    assert "ended" not in plain(spoken(app))
    assert not app.warning


def test_reasons_from_a_run_are_letters_and_no_markup(open_page: Open, folder: Path) -> None:
    path = record_run(folder)
    change_heartbeat(path, state="crashed", reason="![](http://example.invalid/x.png)")
    app = open_page("gradient_flow", run=path.name, lang="zh")
    assert_sound(app)
    assert "](http" not in app.warning[0].value
    assert "异常" in app.warning[0].value


def test_a_live_run_says_how_old_its_last_event_is(open_page: Open, folder: Path) -> None:
    path = record_run(folder)
    lock = take_lock(path, 0)  # as a recorder that lives holds it, but with a heartbeat that stands still
    alive = {"state": "live", "host": socket.gethostname(), "pid": 4711}
    try:
        change_heartbeat(path, **alive, last_event_at=time.time() - 3, written=time.time())
        words = plain(spoken(open_page("gradient_flow", run=path.name)))
        assert re.search(r"last event \d+ s ago", words)
        assert "No event for" not in words
        change_heartbeat(path, last_event_at=time.time() - 300, written=time.time())
        words = plain(spoken(open_page("gradient_flow", run=path.name)))
        assert "last event 5 minutes ago" in words
        assert "No event for 5 minutes, though the recorder is alive" in words
        change_heartbeat(path, written=time.time() - 600)
        words = plain(spoken(open_page("gradient_flow", run=path.name)))
        assert "Process 4711 still holds the lock of the run but has not reported for 10 minutes" in words
    finally:
        release_lock(lock)


def test_the_rank_that_decides_is_named(folder: Path) -> None:
    path = record_run(folder)
    other = json.loads((path / "heartbeat-0.json").read_text()) | {
        "rank": 3,
        "state": "crashed",
        "reason": "OSError",
    }
    (path / "heartbeat-3.json").write_text(json.dumps(other))
    standing = standing_of(path, (0, 3))
    assert (standing.state, standing.rank, standing.reason) == (RunState.CRASHED, 3, "OSError")
    assert standing.heartbeat is not None
    assert standing.heartbeat.rank == 3


def test_the_menu_says_how_many_runs_it_leaves_out(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [record_run(folder, f"run-{number}", windows=[1]).name for number in range(5)]
    monkeypatch.setattr(dashboard_stage, "MENU_LENGTH", 3)
    app = open_page("gradient_flow", run=names[0])  # the oldest is not among the newest three
    assert_sound(app)
    menu = app.selectbox(key="widget.run")
    samples = 6
    assert len(menu.options) == 5
    assert f"{5 + samples - 4} older runs" in menu.options[-1]
    menu.select(menu.options[-1]).run()
    assert_sound(app)
    assert app.title[0].value == "Runs"


def test_no_run_can_have_the_id_that_stands_for_the_others() -> None:
    from dashboard_catalogue import is_plausible

    assert not is_plausible(MORE)

"""What is called on the writer's thread may do anything: raise, leave, close, ask back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from loop_story import batches, make_model, record

import gradviz
from gradviz.recording.announcing import Announcer
from gradviz.recording.inert import Recorder
from gradviz.store import RunWriter


def watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[Recorder, Callable[[], None]]:
    """A recorder whose findings are looked for at every flush, and a window of a training with one."""
    monkeypatch.setitem(Announcer.__init__.__kwdefaults__, "seconds", 0.0)
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = gradviz.watch(model, optimizer, run_dir=tmp_path, accumulation_steps=2, **options)

    def window() -> None:
        for x in batches(2):
            model(x).square().mean().backward()  # not divided
        optimizer.step()
        optimizer.zero_grad()

    return recorder, window


def until(done: Callable[[], object], window: Callable[[], None]) -> None:
    deadline = time.monotonic() + 30
    while not done() and time.monotonic() < deadline:
        window()
    assert done()


def test_to_leave_from_a_callback_ends_neither_the_thread_nor_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def leave(finding: Any) -> None:
        told.append(finding.code)
        raise SystemExit(3)

    recorder, window = watched(tmp_path, monkeypatch, on_finding=leave)
    until(lambda: told, window)
    window()
    recorder.close()
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    assert (run.state, run.dropped) == ("finished", 0)
    assert run.last_event is not None


def test_a_callback_may_ask_for_findings_and_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither waits for the thread that it runs on; nothing is said to be missing (warnings are errors here)."""
    asked: list[float] = []
    wanted, paused = (
        threading.Event(),
        threading.Event(),
    )  # what a window under way brings after `close` is dropped

    def close(_finding: Any) -> None:
        wanted.set()
        assert paused.wait(60)
        began = time.monotonic()
        recorder._writer.flush(timeout=30)  # type: ignore[attr-defined]
        recorder.close()
        asked.append(time.monotonic() - began)

    recorder, window = watched(tmp_path, monkeypatch, on_finding=close)
    until(wanted.is_set, window)
    paused.set()
    recorder._writer._session.thread.join(60)  # type: ignore[attr-defined]
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    assert (run.state, run.dropped) == ("finished", 0)
    assert max(asked) < 20


def test_one_finding_that_raises_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gradviz.diagnostics import Finding
    from gradviz.schema import Level

    found = [Finding(code, Level.WARNING) for code in ("a", "b")]
    told: list[str] = []

    def tell(finding: Finding) -> None:
        told.append(finding.code)
        raise OSError("their server is gone")

    announcer = Announcer(tell, seconds=0.0)
    monkeypatch.setattr(announcer, "_diagnosed", lambda _path: found)
    with pytest.raises(OSError, match="their server"):
        announcer.look(tmp_path, final=True)
    assert told == ["a", "b"]


def test_a_target_that_fails_once_misses_one_update(tmp_path: Path) -> None:
    class Flaky:
        def __init__(self) -> None:
            self.calls = 0
            self.rows: dict[float, dict[str, float]] = {}

        def log(self, numbers: dict[str, float]) -> None:
            self.calls += 1
            if self.calls == 2:
                raise OSError("a hiccup")
            self.rows[numbers["gradviz/update"]] = numbers

    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    target = Flaky()
    with gradviz.watch(model, optimizer, run_dir=tmp_path, forward=target):
        for x in batches(4):
            model(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert list(target.rows) == [0, 2, 3]
    assert [row["gradviz/coherence"] for row in target.rows.values()] == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["pre", "post"])
def test_a_close_inside_a_hook_of_a_step(kind: str, first: bool) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    register = getattr(optimizer, f"register_step_{kind}_hook")

    def close(*_given: Any) -> None:
        recorder.close()

    if first:
        register(close)
    recorder, _ = record(model, optimizer)
    if not first:
        register(close)
    register(lambda *_given: None)
    before = [p.detach().clone() for p in model.parameters()]
    model(batches(1)[0]).sum().backward()
    optimizer.step()
    assert recorder.closed
    assert not any(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    record(make_model())[0].close()  # what could not be removed then goes now
    assert not [hook for hook in optimizer._optimizer_step_pre_hooks.values() if "gradviz" in str(hook)]


def test_a_close_on_another_thread_takes_no_hook_away_from_a_step() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, _ = record(model, optimizer)

    def close_elsewhere(*_given: Any) -> None:
        thread = threading.Thread(target=recorder.close)
        thread.start()
        thread.join()

    optimizer.register_step_pre_hook(close_elsewhere)
    optimizer.register_step_pre_hook(lambda *_given: None)
    model(batches(1)[0]).sum().backward()
    optimizer.step()
    assert recorder.closed


def test_a_callable_slower_than_closing_costs_nothing_that_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RunWriter.close.__kwdefaults__, "timeout", 6.0)  # half of it for the callable
    telling, let_go = threading.Event(), threading.Event()

    def slow(_finding: Any) -> None:
        telling.set()
        assert let_go.wait(60)

    recorder, window = watched(tmp_path, monkeypatch, on_finding=slow)
    until(telling.is_set, window)
    window()
    thread = recorder._writer._session.thread  # type: ignore[attr-defined]
    recorder.close()  # warns of nothing: warnings are errors here
    assert thread.is_alive()
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    assert (run.state, run.dropped, run.gaps) == ("finished", 0, [])
    assert run.events()["phase"].tolist()[-5:] == ["reset", "micro_step", "micro_step", "update", "reset"]
    let_go.set()
    thread.join(60)

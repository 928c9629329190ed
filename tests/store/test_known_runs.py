"""A listing that knows the runs that have ended reads nothing of them, and misses no change."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gradviz.schema import RunState
from gradviz.store import RunSummary, RunWriter, list_runs, open_run
from gradviz.store import manifest as manifests
from gradviz.store.heartbeat import Heartbeat, file_name
from gradviz.store.known_runs import KnownRuns
from gradviz.store.sealed import seal, unseal
from tests.store.made_runs import cut, make_events, make_layers, write_run

LONG_AGO = time.time_ns() - 3600 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two ended runs, one of them in a group."""
    for name in ("one", "group/two"):
        made = write_run(tmp_path / "made", make_layers(2), cut(make_events(make_layers(2), 8), []))
        (made / file_name(0)).write_bytes(
            Heartbeat(state=RunState.FINISHED, events=8, last_update=1).encode()
        )
        shutil.copytree(made, tmp_path / "runs" / name)
        shutil.rmtree(tmp_path / "made")
    _age(tmp_path / "runs")
    return tmp_path / "runs"


def _age(folder: Path) -> None:
    """As if nothing had been written for an hour."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


def _by_name(runs: list[RunSummary]) -> dict[str, RunSummary]:
    return {run.path.name: run for run in runs}


def test_the_second_listing_reads_no_file_and_says_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: KnownRuns[RunSummary] = KnownRuns()
    first = list_runs(folder, known=known)
    assert [run.events for run in first] == [8, 8]

    def read(path: Path, disk: object = None) -> dict[str, object]:
        raise AssertionError(path)

    monkeypatch.setattr(manifests, "read_manifest", read)
    assert list_runs(folder, known=known) == first


def _heartbeat(run: Path) -> None:
    (run / file_name(0)).write_bytes(Heartbeat(state=RunState.CRASHED, events=9).encode())


def _manifest(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    del facts["crc32"]
    (run / "run.json").write_text(json.dumps({**facts, "model_class": "Another"}))


def _rank(run: Path) -> None:
    (run / file_name(1)).write_bytes(Heartbeat(rank=1, state=RunState.STOPPED, events=9).encode())


def _damage(run: Path) -> None:
    (run / "run.json").write_bytes(b"")


@pytest.mark.parametrize("change", [_heartbeat, _manifest, _rank, _damage])
def test_a_change_is_seen(folder: Path, change: Callable[[Path], None]) -> None:
    known: KnownRuns[RunSummary] = KnownRuns()
    before = _by_name(list_runs(folder, known=known))
    change(folder / "one")
    after = _by_name(list_runs(folder, known=known))
    fresh = _by_name(list_runs(folder))
    assert after["one"].state == fresh["one"].state
    assert after["one"].model_class == fresh["one"].model_class
    assert (after["one"].ranks, after["one"].problem) == (fresh["one"].ranks, fresh["one"].problem)
    assert after["one"] != before["one"]
    assert after["two"] is before["two"]


def test_runs_that_come_and_go(folder: Path) -> None:
    known: KnownRuns[RunSummary] = KnownRuns()
    list_runs(folder, known=known)
    shutil.copytree(folder / "one", folder / "three")
    shutil.rmtree(folder / "group" / "two")
    assert set(_by_name(list_runs(folder, known=known))) == {"one", "three"}


def test_a_live_run_is_asked_every_time(tmp_path: Path) -> None:
    known: KnownRuns[RunSummary] = KnownRuns()
    writer = RunWriter.create(tmp_path, "going", make_layers(2), accumulation_steps=4, durable=False)
    _age(tmp_path)
    assert [run.state for run in list_runs(tmp_path, known=known)] == [RunState.LIVE]
    writer.close()
    assert [run.state for run in list_runs(tmp_path, known=known)] == [RunState.FINISHED]
    assert open_run(writer.path).state is RunState.FINISHED


def test_what_was_written_just_now_is_read_again(folder: Path) -> None:
    known: KnownRuns[RunSummary] = KnownRuns()
    beat = folder / "one" / file_name(0)
    _heartbeat(folder / "one")
    times = beat.stat()
    list_runs(folder, known=known)
    content = unseal(beat.read_bytes()).replace(b'"events": 9', b'"events": 7')
    beat.write_bytes(
        seal(content)
    )  # of the same length, in the same file, in the same tick of the disk's clock
    os.utime(beat, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _by_name(list_runs(folder, known=known))["one"].events == 7

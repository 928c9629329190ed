"""Death before and after calls that change the file system; of every one, see `tests/faults`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gradviz.schema import EventRecord
from gradviz.store import list_runs, open_run
from gradviz.store import tail as tails
from tests.store.failing_disk import DyingDisk, WatchedDisk, flush_until_death
from tests.store.made_runs import cut, make_events, make_layers

LAYERS = make_layers(3)
EVENTS = make_events(LAYERS, 44)
BATCHES = cut(EVENTS, [4] * 11)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "FAN_IN", 3)
    monkeypatch.setattr(tails, "SEGMENT_EVENTS", 24)


def scenario(parent: Path, disk: WatchedDisk) -> list[EventRecord]:
    return flush_until_death(parent, LAYERS, BATCHES, disk)


def check(parent: Path, acknowledged: list[EventRecord], where: str) -> None:
    """The run opens, holds at least what was acknowledged, and nothing twice."""
    run = open_run(parent / "run")
    rows = run.gradients()
    events = run.events()["event"].tolist()
    count = len(events)
    assert count in (len(acknowledged), len(acknowledged) + 4), where
    assert events == list(range(count)), where
    assert rows.groupby("layer", observed=False)["event"].apply(list).tolist() == [events] * 3, where
    assert run.damaged == run.verify() == run.gaps == [], where
    overview = run.overview()
    finite = rows[(rows["phase"] == "update") & np.isfinite(rows["l2"])]
    assert overview["count"].sum() == len(finite), where
    assert overview["l2_sum"].sum() == pytest.approx(finite["l2"].astype(float).sum()), where
    assert len(list_runs(parent)) == 1, where


def all_points(tmp_path: Path) -> int:
    disk = WatchedDisk()
    assert len(scenario(tmp_path / "whole", disk)) == 44
    check(tmp_path / "whole", EVENTS, "no crash")
    seals = [call for call in disk.calls if "remove" in call]
    assert len(seals) > 10, "the scenario merges and removes"
    return len(disk.calls)


def die_at(tmp_path: Path, points: range) -> None:
    for at in points:
        for late in (False, True):
            parent = tmp_path / f"{at}-{late}"
            disk = DyingDisk(at, late=late)
            acknowledged = scenario(parent, disk)
            check(parent, acknowledged, f"{'after' if late else 'before'} call {at}: {disk.calls[at - 1]}")
            shutil.rmtree(parent)


def test_death_at_some_calls(tmp_path: Path) -> None:
    die_at(tmp_path, range(1, all_points(tmp_path) + 1, 17))

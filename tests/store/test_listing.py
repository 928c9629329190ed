"""`list_runs`, names and places."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradviz.errors import QueryError, RunFolderError
from gradviz.schema import Layer, RunState
from gradviz.store import (
    default_folder,
    folders_to_show,
    list_runs,
    open_run,
    sample_folder,
)
from gradviz.store.heartbeat import Heartbeat, state_of
from gradviz.store.locks import is_locked, release_lock, take_lock
from gradviz.store.manifest import tidy_layers
from gradviz.store.names import NAME_LIMIT, folder_name, tidy_name, unique_names
from gradviz.store.parts import EventRange, parse_part_name, uncovered
from gradviz.store.tail import FAN_IN, SEGMENT_EVENTS, MergePlan, TailPart, plan_merge
from tests.store.made_runs import cut, make_events, make_layers, start_writer, write_run


def test_newest_first_with_what_they_hold(tmp_path: Path) -> None:
    for number in range(3):
        writer = start_writer(
            tmp_path / f"folder{number}", make_layers(2 + number), accumulation_steps=number
        )
        for event in make_events(make_layers(2 + number), 8):
            writer.put(event)
        writer.close()
        time.sleep(0.002)  # `created` counts milliseconds
    runs = list_runs(tmp_path)
    assert [run.layers for run in runs] == [4, 3, 2]
    assert [run.accumulation_steps for run in runs] == [2, 1, 0]
    assert {(run.state, run.updates, run.events, run.dropped, run.problem) for run in runs} == {
        (RunState.FINISHED, 2, 8, 0, None)
    }
    assert all(run.created.tzinfo is not None and (run.seconds_since_last_event or 0) >= 0 for run in runs)


def test_only_runs_of_ours_down_to_depth_three_without_links(tmp_path: Path) -> None:
    made = write_run(tmp_path, make_layers(1), cut(make_events(make_layers(1), 4), []))
    for folder in ("a/b/deep", "a/b/c/too-deep"):
        shutil.copytree(made, tmp_path / folder)
    (tmp_path / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text(json.dumps({"format": "somebody else's"}))
    (tmp_path / "events.out.tfevents.1").write_bytes(b"x")
    assert sorted(run.path.relative_to(tmp_path).as_posix() for run in list_runs(tmp_path)) == [
        "a/b/deep",
        "run",
    ]
    assert [run.path for run in list_runs(made)] == [made]
    assert list_runs(tmp_path / "missing") == list_runs(tmp_path / "events.out.tfevents.1") == []


def test_states_from_heartbeat_lock_and_age(tmp_path: Path) -> None:
    run = write_run(tmp_path, make_layers(1), [])
    here = Heartbeat(host=os.uname().nodename)
    here.encode()  # stamps it with the time, this process and this host
    assert state_of(run, Heartbeat(state=RunState.STOPPED)) is RunState.STOPPED
    assert is_locked(run) is None
    assert state_of(run, here) is RunState.LIVE, "no lock to ask, and a young heartbeat"
    here.written -= 3600
    assert state_of(run, here) is RunState.INTERRUPTED
    lock = take_lock(run, 0)
    assert is_locked(run) is True
    with pytest.raises(RunFolderError, match="Another process is recording rank 0"):
        take_lock(run, 0)
    assert state_of(run, here) is state_of(run, None) is RunState.LIVE
    release_lock(lock)
    assert is_locked(run) is False
    here.encode()
    assert state_of(run, here) is RunState.INTERRUPTED, (
        "the lock is free: the heartbeat's age does not matter"
    )
    here.host = "another host"
    assert state_of(run, here) is RunState.LIVE, "a lock of another host may be invisible here"


def test_default_and_sample_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADVIZ_DIR", raising=False)
    assert default_folder() == Path("gradviz_runs")
    monkeypatch.setenv("GRADVIZ_DIR", str(tmp_path))
    assert default_folder() == tmp_path
    assert folders_to_show() == [tmp_path, sample_folder()]
    assert folders_to_show("x") == [Path("x"), sample_folder()]
    assert folders_to_show(sample_folder()) == [sample_folder()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": ["layer_9"]}, r"No layer 'layer_9' in this run. It has 3: 'layer_0.weight', "),
        ({"phases": "reset!"}, r"No phase 'reset!'. There are: 'reset', 'micro_step', 'edit', 'update'"),
        ({"columns": ["l3"]}, r"No column 'l3' in gradients. There are: 'event', .*'cosine'"),
        ({"updates": 3}, r"updates=3 is not a pair"),
        ({"updates": (1, "x")}, r"updates=\(1, 'x'\) is not a pair"),
    ],
)
def test_a_wrong_question_names_what_exists(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    run = open_run(write_run(tmp_path, make_layers(3), []))
    with pytest.raises(QueryError, match=message):
        run.gradients(**arguments)  # type: ignore[arg-type]


@given(st.text(st.characters(), max_size=700))
def test_tidy_names_are_printable_capped_and_stable(name: str) -> None:
    tidy = tidy_name(name)
    assert len(tidy) <= NAME_LIMIT
    assert tidy == tidy_name(tidy)
    assert not set(tidy) & {"\0", "\n", "\x85", "\u2028"}
    tidy.encode("utf-8")


@given(st.text(st.characters(), max_size=300))
def test_folder_names_are_never_a_path(name: str) -> None:
    safe = folder_name(name)
    assert safe
    assert Path(safe).name == safe
    assert not set(safe) & set("/\\\0\n:")
    assert len(safe.encode()) <= 120
    assert not safe.startswith(".")


def test_long_names_stay_apart_and_repeated_ones_are_numbered() -> None:
    assert tidy_name("x" * 600) != tidy_name("x" * 601)
    assert unique_names(["a", "a", "a~2", "a"]) == ["a", "a~2", "a~2~2", "a~3"]
    layers = [Layer(i, "same", (1,), 1, "float32", "Linear", True, ("b\0",)) for i in range(2)]
    assert [(layer.name, layer.shared_names) for layer in tidy_layers(layers)] == [
        ("same", ("b\\x00",)),
        ("same~2", ("b\\x00",)),
    ]


@pytest.mark.parametrize("name", ["part-1-2.parquet", EventRange(3, 5).file_name])
def test_part_names(name: str) -> None:
    assert parse_part_name(name) in (EventRange(1, 2), EventRange(3, 5))


@pytest.mark.parametrize(
    "name",
    ["part-2-1.parquet", "part-1.parquet", ".part-1-2.parquet.tmp", "part-1-2.parquet\n", "part-٣-٤.parquet"],
)
def test_what_is_no_part(name: str) -> None:
    assert parse_part_name(name) is None


ranges = st.tuples(st.integers(0, 30), st.integers(0, 8)).map(
    lambda pair: EventRange(pair[0], pair[0] + pair[1])
)


@given(st.lists(ranges, max_size=20))
def test_uncovered_leaves_out_exactly_what_another_range_covers(parts: list[EventRange]) -> None:
    wanted = {part for part in parts if not any(other != part and other.covers(part) for other in parts)}
    assert set(uncovered(parts)) == wanted
    assert uncovered(parts) == sorted(uncovered(parts))


@given(st.lists(st.integers(1, 700), min_size=1, max_size=400))
def test_the_tail_stays_short(counts: list[int]) -> None:
    """Whatever the sizes of the flushes, few parts wait, in order, and segments are full."""
    tail: list[TailPart] = []
    sealed = first = 0
    for count in counts:
        tail.append(TailPart(EventRange(first, first + count - 1), count, count))
        first += count
        while (plan := plan_merge(tail)) is not None:
            tail = after(tail, plan)
            assert not plan.seals or sum(part.count for part in plan.parts) >= SEGMENT_EVENTS
            sealed += sum(part.count for part in plan.parts) if plan.seals else 0
        assert sealed + sum(part.count for part in tail) == first
        assert len(tail) < 3 * FAN_IN
        assert [part.events.first for part in tail] == sorted(part.events.first for part in tail)


def after(tail: list[TailPart], plan: MergePlan) -> list[TailPart]:
    """The tail after a merge."""
    before = [part for part in tail if part.events.last < plan.events.first]
    count = sum(part.count for part in plan.parts)
    return before if plan.seals else [*before, TailPart(plan.events, count, count)]

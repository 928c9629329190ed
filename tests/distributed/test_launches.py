"""Ranks find one folder without a word between them: whoever comes first, however often, whatever ran before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from gradviz.errors import RunFolderError
from gradviz.schema import RunState
from gradviz.store import RunWriter, list_runs, open_run
from gradviz.store import launches as launching
from gradviz.store import opening as openings
from gradviz.store.launches import Launch
from tests.distributed.ranked_runs import Training, layers_of, start
from tests.forking import Forked

TRAINING = Training.random(1)
RANKS = 3


def record(writer: RunWriter) -> None:
    """One window."""
    for event in range(TRAINING.events):
        writer.put(TRAINING.record(event, {}, number=writer.first_event + event, update=writer.first_update))
    assert writer.close() == 0


def race(rank: int, parent: Path, barrier: Barrier, rounds: int) -> None:
    """One rank of many launches with one key, one after the other, as of a rerun with the same port."""
    for number in range(rounds):
        barrier.wait(60)
        time.sleep(0.004 * ((number + rank) % RANKS) * (number % 2))  # all at once, or each of them first
        record(start(parent, TRAINING.layers, rank, RANKS))


RACE = """
import multiprocessing
import sys
from pathlib import Path
from tests.distributed.test_launches import RANKS, race

context = multiprocessing.get_context("fork")
barrier = context.Barrier(RANKS)
asked = Path(sys.argv[1]), barrier, int(sys.argv[2])
ranks = [context.Process(target=race, args=(rank, *asked)) for rank in range(RANKS)]
for rank in ranks:
    rank.start()
for rank in ranks:
    rank.join()
print(*[rank.exitcode for rank in ranks])
"""


def test_ranks_that_start_at_once_share_a_folder_every_time(tmp_path: Path) -> None:
    rounds = 25
    racing = Forked(RACE, tmp_path, rounds)
    said, errors = racing.communicate()
    assert said.split() == ["0"] * RANKS, errors
    runs = list_runs(tmp_path)
    assert [run.ranks for run in runs] == [tuple(range(RANKS))] * rounds
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert all(len(open_run(run.path).segments) == RANKS for run in runs)
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_whoever_comes_first_makes_the_folder(tmp_path: Path) -> None:
    second = start(tmp_path, TRAINING.layers, 1, 2)
    second.describe(optimizers=[{"class": "SGD", "layers": [0]}])
    first = start(tmp_path, TRAINING.layers, 0, 2)
    assert first.path == second.path
    first.describe(forward_order=[1, 0, 2, 3])
    second.describe(forward_order=[0, 1, 2, 3], not_visible=["something"])
    record(second)
    record(first)
    run = open_run(first.path)
    assert run.layers["layer"].tolist() == ["b", "a", "c", "d"]
    assert run.metadata["forward_order"] == [1, 0, 2, 3]
    assert run.metadata["not_visible"] == ["something"], "what rank 0 does not say, another may"
    assert run.of_rank(1).metadata["forward_order"] == [0, 1, 2, 3]
    assert run.of_rank(0).metadata["launch"] == "k"


def test_another_launch_has_another_folder(tmp_path: Path) -> None:
    paths = {start(tmp_path, TRAINING.layers, 0, 2, key=key).path for key in ("k", "other", "third")}
    assert len(paths) == 3


def test_a_place_that_is_taken_belongs_to_an_earlier_launch(tmp_path: Path) -> None:
    """The same port a second time, and rank 1 of the second launch comes first."""
    for rank in (0, 1):
        record(start(tmp_path, TRAINING.layers, rank, 2))
    again = [start(tmp_path, TRAINING.layers, rank, 2) for rank in (1, 0)]
    assert again[0].path == again[1].path
    assert sorted(run.ranks for run in list_runs(tmp_path)) == [(0, 1), (0, 1)]


def of_another_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_launcher", lambda: "elsewhere:1")


def test_a_free_place_in_a_folder_that_ended_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 1 of the first launch never came; rank 1 of the next one must not join it."""
    record(start(tmp_path, TRAINING.layers, 0, 2))
    of_another_launcher(monkeypatch)
    again = [start(tmp_path, TRAINING.layers, rank, 2) for rank in (1, 0)]
    assert again[0].path == again[1].path
    assert sorted(run.ranks for run in list_runs(tmp_path)) == [(0,), (0, 1)]


def test_a_rank_of_another_machine_joins_who_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(tmp_path, TRAINING.layers, 0, 2)
    of_another_launcher(monkeypatch)
    assert start(tmp_path, TRAINING.layers, 1, 2).path == first.path


def test_other_layers_have_a_folder_of_their_own_and_it_is_said(tmp_path: Path) -> None:
    """Stages of a pipeline: ranks 0 and 2 hold the first, ranks 1 and 3 the second."""
    stages = [TRAINING.layers, [replace(layer, name=f"late.{layer.name}") for layer in TRAINING.layers]]
    writers = [start(tmp_path, stages[rank % 2], rank, 4) for rank in range(4)]
    assert writers[0].path == writers[2].path != writers[1].path == writers[3].path
    assert [writer.remark is None for writer in writers] == [True, False, True, True]
    assert "Rank 1 has other layers than the ranks that record into" in str(writers[1].remark)
    assert (open_run(writers[1].path).ranks, open_run(writers[1].path).missing_ranks) == ([1, 3], [0, 2])


def test_a_restart_adds_a_segment_that_begins_alike_on_all_ranks(tmp_path: Path) -> None:
    """Rank 0 got further than rank 1 before the restart."""
    first = [start(tmp_path, TRAINING.layers, rank, 2) for rank in range(2)]
    for event in range(3):
        first[1].put(TRAINING.record(event, {}))
    first[1].close(RunState.CRASHED, reason="RuntimeError")
    record(first[0])
    again = [start(tmp_path, TRAINING.layers, rank, 2, restart=1) for rank in (1, 0)]
    assert {writer.path for writer in again} == {first[0].path}
    assert {(writer.first_event, writer.first_update) for writer in again} == {(4, 1)}
    assert open_run(first[0].path).state is RunState.LIVE
    for writer in again:
        record(writer)
    run = open_run(first[0].path)
    assert run.segments.drop(columns="started").to_numpy().tolist() == [
        [0, 0, 0, 0], [0, 4, 1, 1], [1, 0, 0, 0], [1, 4, 1, 1],
    ]  # fmt: skip
    assert run.events()["ranks"].tolist() == [2, 2, 2, 1, 2, 2, 2, 2]
    assert (run.gaps, run.state) == ([(3, 3)], RunState.FINISHED)


def test_a_rank_that_does_not_come_back_is_not_missed(tmp_path: Path) -> None:
    """An elastic launch goes on with fewer processes."""
    for rank in range(3):
        record(start(tmp_path, TRAINING.layers, rank, 3))
    for rank in range(2):
        record(start(tmp_path, TRAINING.layers, rank, 2, restart=1))
    run = open_run(list_runs(tmp_path)[0].path)
    assert run.events()["ranks"].tolist() == [3] * 4 + [2] * 4
    assert (run.gaps, run.missing_ranks) == ([], [])


def test_shards_change_with_the_segment(tmp_path: Path) -> None:
    from tests.distributed.ranked_runs import cuts, elements

    whole = start(tmp_path / "alone", TRAINING.layers, 0, 1, key="")
    record(whole)
    for restart, world_size in enumerate((3, 2)):
        held = cuts(TRAINING.layers, world_size)
        for rank in range(world_size):
            shards = elements(held[rank])
            writer = start(tmp_path, TRAINING.layers, rank, world_size, restart=restart, shards=shards)
            for event in range(4):
                number = writer.first_event + event
                writer.put(TRAINING.record(event, held[rank], number=number, update=writer.first_update))
            assert writer.close() == 0
    rows = open_run(writer.path).gradients(phases="update")
    expected = open_run(whole.path).gradients(phases="update")["l2"].repeat(2)
    assert rows["l2"].tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_resuming_on_all_ranks_is_one_seam(tmp_path: Path) -> None:
    for rank in range(2):
        record(start(tmp_path, TRAINING.layers, rank, 2))
    run = list_runs(tmp_path)[0].path
    for _ in range(2):  # twice with the same port
        for rank in (1, 0):
            record(start(tmp_path, TRAINING.layers, rank, 2, resume=run))
    segments = open_run(run).segments
    assert segments["first_update"].tolist() == [0, 1, 2] * 2
    assert open_run(run).gaps == []


def test_a_place_whose_process_does_not_die_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openings, "DYING_SECONDS", 0.05)
    old = start(tmp_path, TRAINING.layers, 0, 2)
    new = start(tmp_path, TRAINING.layers, 0, 2, restart=1)
    assert new.path != old.path
    assert str(new.remark).startswith(f"Another process still records rank 0 of {old.path.name}")


def test_a_process_alone_has_no_launch(tmp_path: Path) -> None:
    writer = start(tmp_path, TRAINING.layers, 0, 1, key="")
    record(writer)
    assert "launch" not in open_run(writer.path).metadata
    assert Launch() == Launch(0, 1, 0, "", {})


@pytest.mark.parametrize("broken", [lambda run: (run / "run.json").write_text("{"),
                                    lambda run: (run / "run.json").unlink()])  # fmt: skip
def test_a_broken_folder_is_passed_over(tmp_path: Path, broken: Callable[[Path], object]) -> None:
    first = start(tmp_path, TRAINING.layers, 0, 2)
    record(first)
    broken(first.path)
    assert start(tmp_path, TRAINING.layers, 1, 2).path != first.path


def test_where_nothing_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="Cannot record into"):
        start(tmp_path / "file" / "below", layers_of(), 0, 2)

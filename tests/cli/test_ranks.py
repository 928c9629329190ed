"""`gradviz summary` of a run that several ranks recorded, and of one that was resumed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command
from tests.distributed.ranked_runs import Training, cuts, elements, record_sharded, start


def test_all_ranks_together_or_one(gradviz: Command, tmp_path: Path) -> None:
    run = record_sharded(tmp_path / "runs", Training.random(3), 2, skip=[(1, 5)])
    together = gradviz("summary", run)
    assert "0, 1 together" in together.out
    assert "events 5 to 5" in together.out
    alone = gradviz("summary", run, "--rank", "0")
    assert "0 alone, of 0, 1" in alone.out
    assert "gaps" not in alone.out
    told = json.loads(gradviz("summary", run, "--rank", "1", "--json").out)
    assert (told["rank"], told["ranks"], told["missing_ranks"], told["gaps"]) == (1, [0, 1], [], [[5, 5]])


def test_a_rank_that_is_not_there(gradviz: Command, tmp_path: Path) -> None:
    run = record_sharded(tmp_path / "runs", Training.random(1), 2)
    answer = gradviz("summary", run, "--rank", "5")
    assert answer.code == 2
    assert "No rank 5 in this run. It has: 0, 1." in answer.err


def test_ranks_that_recorded_nothing_are_named(gradviz: Command, tmp_path: Path) -> None:
    layers = Training.random(0).layers
    writer = start(tmp_path / "runs", layers, 1, 3, shards=elements(cuts(layers, 3)[1]))
    writer.close()
    assert "1 together; 0, 2 recorded nothing here" in gradviz("summary", writer.path).out


def test_a_seam_is_told(gradviz: Command, tmp_path: Path) -> None:
    training = Training.random(2)
    path = None
    for _ in range(2):
        writer = start(tmp_path / "runs", training.layers, 0, 1, key="", resume=path)
        for event in range(training.events):
            number, update = writer.first_event + event, writer.first_update + event // 4
            writer.put(training.record(event, {}, number=number, update=update))
        writer.close()
        path = writer.path
    assert "at update 2" in gradviz("summary", path).out
    assert len(json.loads(gradviz("summary", path, "--json").out)["segments"]) == 2

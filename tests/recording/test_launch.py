"""What a process knows of its launch: from the variables that launchers set, and from nothing else."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from gradviz.recording import launch as launching
from gradviz.recording.launch import this_launch
from gradviz.recording.parameters import find_parameters
from gradviz.store.launches import Launch

VARIABLES = (
    "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT",
)  # fmt: skip
STATIC = {"WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "none"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_watched", Counter())
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def launched(
    monkeypatch: pytest.MonkeyPatch, name: str = "net", *, again: bool = False, **variables: str
) -> Launch:
    """The launch of a process with these variables; a new process unless `again`."""
    if not again:
        monkeypatch.setattr(launching, "_watched", Counter())
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return this_launch(find_parameters(torch.nn.Linear(2, 1)), name)


def test_a_process_alone_has_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched(monkeypatch) == Launch()
    assert launched(monkeypatch, RANK="0", WORLD_SIZE="1") == Launch()


@pytest.mark.parametrize(
    "broken", [{"RANK": "2"}, {"RANK": "x"}, {"RANK": "-1"}, {"WORLD_SIZE": ""}, {"WORLD_SIZE": "0"}]
)
def test_nonsense_is_a_process_alone_or_the_first(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, str]
) -> None:
    variables = {**STATIC, "RANK": "1", "TORCHELASTIC_RUN_ID": "", **broken}
    assert launched(monkeypatch, **variables).rank == 0


def test_ranks_share_a_key_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = [launched(monkeypatch, **STATIC, RANK=str(rank)) for rank in range(2)]
    assert [(one.rank, one.world_size, one.restart) for one in ranks] == [(0, 2, 0), (1, 2, 0)]
    assert ranks[0].key == ranks[1].key != ""
    others = [
        launched(monkeypatch, **{**STATIC, "RANK": "0", "MASTER_PORT": "29501"}),
        launched(monkeypatch, "other", **STATIC, RANK="0"),
        launched(monkeypatch, "other", again=True, **STATIC, RANK="0"),
    ]
    assert len({ranks[0].key, *(other.key for other in others)}) == 4


def test_a_restart_keeps_its_key_with_another_port_and_fewer_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = {**STATIC, "RANK": "1", "TORCHELASTIC_RUN_ID": "job-7", "TORCHELASTIC_RESTART_COUNT": "0"}
    again = {**first, "RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "1", "TORCHELASTIC_RESTART_COUNT": "3"}
    before, after = launched(monkeypatch, **first), launched(monkeypatch, **again)
    assert before.key == after.key
    assert (after.rank, after.world_size, after.restart) == (0, 1, 3)


def test_whole_parameters_are_not_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched(monkeypatch, **STATIC, RANK="0").shards == {}

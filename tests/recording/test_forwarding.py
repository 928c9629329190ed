"""A few numbers of each update, in a TensorBoard, wandb or trackio run that is open anyway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop_story import ListWriter, batches, ends, make_model, record, rows

import gradviz
from gradviz.errors import WatchError
from gradviz.recording.forwarding import Forwarder
from gradviz.schema import MICRO_SQUARES, SQUARES, STEP_SQUARES, WEIGHT_SQUARES, Phase


class Log:
    """Takes what wandb's and trackio's `run.log` take."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def log(self, numbers: dict[str, float]) -> None:
        self.rows.append(numbers)


class Board:
    """Takes what TensorBoard's `SummaryWriter` takes."""

    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))


def train(model: Any, optimizer: Any) -> None:
    for i, x in enumerate(batches()):
        (model(x).square().mean() / 3).backward()
        if ends(i):
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()
            optimizer.zero_grad()


def recorded() -> ListWriter:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    train(model, optimizer)
    recorder.close()
    return writer


def test_the_numbers_are_those_of_the_events() -> None:
    writer, log = recorded(), Log()
    Forwarder(log).take(writer.events, [rows(event) for event in writer.events])
    assert [row["gradviz/update"] for row in log.rows] == [0, 1, 2]
    assert [row["gradviz/micro_steps"] for row in log.rows] == [3, 3, 1]
    assert [row["gradviz/loss_weight"] for row in log.rows] == pytest.approx([1, 1, 1 / 3])
    for row, update in zip(log.rows, writer.of(Phase.UPDATE), strict=True):
        micro = [rows(event) for event in writer.of(Phase.MICRO_STEP) if event.update == update.update]
        consumed = rows(update)
        whole = np.sqrt(micro[-1][:, SQUARES].sum())
        parts = sum(np.sqrt(one[:, MICRO_SQUARES].sum()) for one in micro)
        assert row["gradviz/accumulated_l2"] == pytest.approx(np.sqrt(consumed[:, SQUARES].sum()))
        assert row["gradviz/coherence"] == pytest.approx(whole / parts)
        assert row["gradviz/clip_coefficient"] == pytest.approx(0.01 / whole, rel=1e-3)
        ratios = np.sqrt(consumed[:, STEP_SQUARES] / consumed[:, WEIGHT_SQUARES])
        assert row["gradviz/update_to_weight"] == pytest.approx(np.median(ratios))
        assert row["gradviz/nonfinite"] == 0


def test_tensorboard_gets_the_same_under_the_update_s_number() -> None:
    writer, log, board = recorded(), Log(), Board()
    sums = [rows(event) for event in writer.events]
    Forwarder(log).take(writer.events, sums)
    Forwarder(board).take(writer.events, sums)
    of_log = [(name, value, int(row["gradviz/update"])) for row in log.rows for name, value in row.items()]
    assert board.scalars == [one for one in of_log if one[0] != "gradviz/update"]


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(WatchError, match="given a int as forward"):
        Forwarder(3)


def test_an_open_run_gets_them_while_the_training_goes_on(tmp_path: Path) -> None:
    model, log = make_model(), Log()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, optimizer, run_dir=tmp_path, forward=log):
        train(model, optimizer)
    assert [row["gradviz/update"] for row in log.rows] == [0, 1, 2]


def test_a_run_that_fails_costs_only_itself(tmp_path: Path) -> None:
    class Broken:
        def log(self, _numbers: dict[str, float]) -> None:
            raise RuntimeError("their server is gone")

    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, optimizer, run_dir=tmp_path, forward=Broken()) as recorder:
        train(model, optimizer)
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    assert len(run.events()) == 14
    assert run.dropped == 0


def test_a_real_summary_writer(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    model, board = make_model(), SummaryWriter(str(tmp_path / "board"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, optimizer, run_dir=tmp_path, forward=board):
        train(model, optimizer)
    board.close()
    found = EventAccumulator(str(tmp_path / "board"))
    found.Reload()
    assert [one.step for one in found.Scalars("gradviz/coherence")] == [0, 1, 2]

"""However the rows of a run are cut into pieces, and whatever order the layers have, the fold is the same."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import gradviz
from gradviz.analysis import run_story
from gradviz.analysis.blocks import Columns
from gradviz.analysis.folding import COLUMNS, Fold, LayerWindows
from gradviz.analysis.windows import window_axis
from gradviz.store.places import sample_folder
from tests.analysis.test_story import recorded
from tests.zoo import sick_loops

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))


def whole_of(run: gradviz.Run) -> Columns:
    """All rows in one piece."""
    pieces = list(run.pieces(COLUMNS))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def cut_anywhere(whole: Columns, seed: int = 0) -> list[Columns]:
    """Pieces that begin and end in the middle of layers and windows."""
    count = len(whole["event"])
    cuts = np.sort(np.random.default_rng(seed).integers(0, count, 23)).tolist()
    return [
        {name: values[first:stop] for name, values in whole.items()}
        for first, stop in zip([0, *cuts], [*cuts, count], strict=True)
    ]


def assert_same(told: LayerWindows, expected: LayerWindows, rows: np.ndarray | None = None) -> None:
    for column in fields(LayerWindows):
        whole = getattr(expected, column.name)
        whole = whole if rows is None else whole[rows]
        np.testing.assert_allclose(getattr(told, column.name), whole, rtol=1e-6, err_msg=column.name)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_pieces_may_be_cut_anywhere(path: Path) -> None:
    run = gradviz.open_run(path)
    story = run_story(run)
    fold = Fold(window_axis(run.events()), story.table.layer_id)
    for piece in cut_anywhere(whole_of(run)):
        fold.add(piece)
    assert_same(fold.layers(), story.layers)
    np.testing.assert_allclose(fold.micro_squares, story.micro.squares, rtol=1e-12)


def test_edits_may_be_cut_off_what_was_before_them(tmp_path: Path) -> None:
    run = recorded(sick_loops.reset_in_the_micro_loop, tmp_path)
    story = run_story(run)
    fold = Fold(window_axis(run.events()), story.table.layer_id)
    for piece in cut_anywhere(whole_of(run), seed=1):
        fold.add(piece)
    told, expected = fold.edits(), story.edits
    for name in ("window", "micro_step", "wiped", "held"):
        np.testing.assert_array_equal(getattr(told, name), getattr(expected, name))
    np.testing.assert_allclose(told.before, expected.before, rtol=1e-12)
    np.testing.assert_allclose(told.after, expected.after, rtol=1e-12)


def test_layers_in_another_order_and_some_left_out() -> None:
    run = gradviz.open_run(SAMPLES[0])
    story = run_story(run)
    kept = np.random.default_rng(0).permutation(len(story.table.names))[::2]
    fold = Fold(window_axis(run.events()), story.table.layer_id[kept])
    for piece in run.pieces(COLUMNS):
        fold.add(piece)
    assert_same(fold.layers(), story.layers, kept)


def test_events_that_are_not_on_the_axis_are_left_out() -> None:
    run = gradviz.open_run(SAMPLES[0])
    story = run_story(run)
    fold = Fold(window_axis(run.events(updates=(3, 8))), story.table.layer_id)
    for piece in run.pieces(COLUMNS):
        fold.add(piece)
    windows = np.flatnonzero((story.update >= 3) & (story.update <= 8))
    chosen = {column.name: getattr(story.layers, column.name)[:, windows] for column in fields(LayerWindows)}
    assert_same(fold.layers(), LayerWindows(**chosen))

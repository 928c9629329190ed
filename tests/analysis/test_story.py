"""The story of a run against a slow walk over the rows of its frame, on real recordings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gradviz
from gradviz.analysis import run_story, story_reading
from gradviz.analysis.story import RunStory
from gradviz.store.places import sample_folder
from tests.zoo import sick_loops, sick_models
from tests.zoo.catalogue import Training

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))
LOOPS = (
    sick_loops.half_reset,
    sick_loops.reset_in_the_micro_loop,
    sick_loops.clip_in_the_micro_loop,
    sick_loops.tail_thrown_away,
    sick_models.detached_branch,
    sick_models.nan_in_the_data,
)


def recorded(training: Training, folder: Path) -> gradviz.Run:
    torch.manual_seed(0)
    training(folder)
    return gradviz.open_run(next(path.parent for path in folder.glob("*/run.json")))


def slow_window(rows: pd.DataFrame) -> dict[str, float]:
    """One layer's numbers of one window, row by row."""
    of = {phase: rows[rows["phase"] == phase] for phase in ("reset", "micro_step", "update")}
    found = dict.fromkeys(("residual", "consumed", "zeros", "weight", "step", "unchanged"), np.nan)
    for row in of["reset"].itertuples():
        found["residual"] = 0.0 if row.nonfinite is pd.NA else np.inf if row.nonfinite else row.l2
    for row in of["update"].itertuples():
        found["consumed"] = 0.0 if row.nonfinite is pd.NA else np.inf if row.nonfinite else row.l2
        found |= {
            "zeros": row.zeros,
            "weight": row.weight_l2,
            "step": row.step_l2,
            "unchanged": row.unchanged,
        }
    own, whole, cosines, fired, broken = [], [], [], 0, False
    for row in of["micro_step"].itertuples():
        fired += row.micro_nonfinite is not pd.NA
        broken |= bool(row.micro_nonfinite is not pd.NA and row.micro_nonfinite > 0)
        broken |= bool(row.nonfinite is not pd.NA and row.nonfinite > 0)
        own.append(0.0 if row.micro_nonfinite is pd.NA else np.nan if row.micro_nonfinite else row.micro_l2)
        whole.append(0.0 if row.nonfinite is pd.NA else np.nan if row.nonfinite else row.l2)
        cosines.append(row.cosine)
    own_, whole_ = np.array(own, dtype=np.float64), np.array(whole, dtype=np.float64)
    known = [cosine for cosine in cosines if not np.isnan(cosine)]
    return found | {
        "accumulated": whole_[-1],
        "own": np.sqrt(np.sum(own_**2)),
        "norms": np.sum(own_),
        "built": np.sqrt(np.sum(whole_[1:] ** 2)),
        "largest": np.max(own_),
        "cosine": min(known) if known else np.nan,
        "fired": fired,
        "broken": broken,
    }


def check_against_rows(run: gradviz.Run, story: RunStory) -> None:
    gradients = run.gradients()
    micro = gradients[gradients["phase"] == "micro_step"]
    assert story.update.tolist() == sorted(micro["update"].unique())
    for layer, name in enumerate(story.table.names):
        rows = gradients[gradients["layer"] == name]
        if not len(rows):  # frozen
            continue
        for window, update in enumerate(story.update):
            for column, value in slow_window(rows[rows["update"] == update]).items():
                told = getattr(story.layers, column)[layer, window]
                np.testing.assert_allclose(told, value, rtol=1e-5, err_msg=f"{column} of {name}, {update}")


@pytest.mark.parametrize("training", LOOPS, ids=lambda training: training.__name__)
def test_every_number_of_a_recorded_loop(training: Training, tmp_path: Path) -> None:
    run = recorded(training, tmp_path)
    check_against_rows(run, run_story(run))


def test_in_small_pieces_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recorded(sick_loops.half_reset, tmp_path)
    monkeypatch.setattr("gradviz.store.rows.PIECE_ROWS", 1)
    monkeypatch.setattr("gradviz.analysis.blocks.CELLS", 1)
    check_against_rows(run, run_story(run))


def test_micro_steps_are_those_of_the_events(tmp_path: Path) -> None:
    run = recorded(sick_loops.loss_summed, tmp_path)
    story = run_story(run)
    events = run.events()
    events = events[events["phase"] == "micro_step"]
    assert story.micro.micro_step.tolist() == events["micro_step"].tolist()
    np.testing.assert_array_equal(story.micro.loss, events["loss"])
    np.testing.assert_array_equal(story.samples, np.full(80, 16.0))
    gradients = run.gradients(phases=["micro_step"])
    squares = (gradients["micro_l2"].astype(float) ** 2).groupby(gradients["event"]).sum()
    np.testing.assert_allclose(story.micro.squares, squares, rtol=1e-6)


def test_edits_add_up_over_layers(tmp_path: Path) -> None:
    run = recorded(sick_loops.clip_in_the_micro_loop, tmp_path)
    story = run_story(run)
    edits = run.gradients(phases=["edit"])
    after = (edits["l2"].astype(float) ** 2).groupby(edits["event"]).sum()
    np.testing.assert_allclose(story.edits.after, after, rtol=1e-6)
    assert (story.edits.before > story.edits.after).all()
    assert (story.edits.wiped == 0).all()
    assert story.edited.sum() == len(np.unique(edits["update"]))


def test_a_wiped_tail_is_told_from_a_reset_inside(tmp_path: Path) -> None:
    tails = run_story(recorded(sick_loops.tail_thrown_away, tmp_path / "a"))
    assert tails.tails.sum() == tails.wiped.sum() == 5
    inside = run_story(recorded(sick_loops.reset_in_the_micro_loop, tmp_path / "b"))
    assert inside.wiped.sum() == 60
    assert not inside.tails.any()


def test_the_ends_of_a_run_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    run = gradviz.open_run(sample_folder() / "healthy-transformer-n8")
    monkeypatch.setattr(story_reading, "ROWS_AT_MOST", 42 * 200)
    story = run_story(run)
    assert story.windows_total == 100
    assert story.update.tolist() == [*range(10), *range(91, 100)]
    whole = np.sqrt(np.sum(run.gradients(updates=(96, 96), phases=["update"])["l2"].astype(float) ** 2))
    assert story.consumed_norm[15] == pytest.approx(whole)


def test_a_damaged_part_is_a_hole_and_no_zeros(tmp_path: Path) -> None:
    run = shutil.copytree(SAMPLES[0], tmp_path / "run")
    part = next((run / "gradients").rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    story = run_story(gradviz.open_run(run))
    assert len(story.update) == 0
    assert story.windows_total == 0


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    recorder = gradviz.watch(model, run_dir=tmp_path, strict=True)
    recorder.close()
    assert recorder.run_path is not None
    story = run_story(gradviz.open_run(recorder.run_path))
    assert story.table.names == ("weight", "bias")
    assert story.layers.own.shape == (2, 0)

"""The ledger of a story against the ledger of frames: two ways to the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradviz
from gradviz.analysis import run_story, window_ledger
from gradviz.analysis.story_ledger import few_windows, story_ledger
from gradviz.store import sample_folder
from tests.app.recorded import record_run

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))
SAME = {
    "update": "update",
    "length": "length",
    "consumed": "consumed",
    "skipped": "skipped",
    "loss": "loss",
    "weight": "weight",
    "lr": "lr",
    "amp_scale": "amp_scale",
    "clip": "clip",
    "norm": "l2",
    "coherence": "coherence",
    "residual": "residual",
}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_run_has_the_same_windows_either_way(path: Path) -> None:
    run = gradviz.open_run(path)
    frame = window_ledger(run.gradients(), run.events()).frame
    ledger = story_ledger(run_story(run))
    for ours, theirs in SAME.items():
        np.testing.assert_allclose(
            getattr(ledger, ours).astype(float), frame[theirs].to_numpy(float), rtol=1e-5, err_msg=ours
        )
    np.testing.assert_array_equal(ledger.edited, frame["edits"] > 0)
    assert not (ledger.broken < (frame["nonfinite"] > 0)).any()


def test_few_windows_keep_the_ends_the_named_and_the_odd(tmp_path: Path) -> None:
    path = record_run(tmp_path, windows=[2] * 40, poison=(25, 1))
    ledger = few_windows(story_ledger(run_story(gradviz.open_run(path))), 12, np.array([17]))
    assert ledger.update.tolist() == [0, 1, 2, 17, 25, 37, 38, 39]
    assert ledger.place.tolist() == ledger.update.tolist()
    assert ledger.broken.tolist() == [update == 25 for update in ledger.update]
    assert ledger.windows_total == 40

"""The window ledger: one honest row a window."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.analysis import window_ledger
from tests.reference_runs import reference_run


def test_one_row_a_window_with_what_went_in_and_came_out() -> None:
    run = reference_run(windows=(4, 4, 2))
    ledger = window_ledger(run.gradients(), run.events()).frame
    losses = [
        np.mean(
            [row["loss"] for row in run.event_rows if row["update"] == update and row["loss"] is not None]
        )
        for update in range(3)
    ]
    assert ledger["update"].tolist() == [0, 1, 2]
    assert ledger["length"].tolist() == [4, 4, 2]
    assert ledger["consumed"].all()
    assert set(ledger["reset"]) == {"clean"}
    np.testing.assert_allclose(ledger["loss"], losses)
    assert ledger["lr"].tolist() == [0.1] * 3


def test_norm_and_coherence_are_the_definition() -> None:
    run = reference_run()
    ledger = window_ledger(run.gradients()).frame
    for row, window in zip(ledger.itertuples(), run.micro.values(), strict=True):
        vectors = [np.concatenate([own[name] for name in run.layer_names]) for own in window]
        total = np.linalg.norm(np.sum(vectors, axis=0))
        assert row.l2 == pytest.approx(total, rel=1e-6)
        assert row.coherence == pytest.approx(total / sum(map(np.linalg.norm, vectors)), rel=1e-6)


def test_a_missing_reset_an_edit_and_nan_are_told() -> None:
    never = window_ledger(reference_run(reset="never").gradients()).frame
    assert never["reset"].tolist() == ["clean", "not reset", "not reset", "not reset"]
    assert (never["residual"][1:] > 0).all()
    edited = window_ledger(reference_run(reset="every_micro_step").gradients()).frame
    assert edited["edits"].tolist() == [3, 3, 3, 1]
    poisoned = window_ledger(reference_run(poison=(1, 2)).gradients()).frame
    assert (poisoned["nonfinite"] > 0).tolist() == [False, True, True, True]
    assert np.isnan(poisoned["l2"][1])


def test_what_was_not_recorded_is_unknown() -> None:
    frame = reference_run().gradients()
    ledger = window_ledger(frame[frame["phase"] == "micro_step"]).frame
    assert set(ledger["reset"]) == {"unknown"}
    assert not ledger["consumed"].any()
    assert ledger["loss"].isna().all()


def test_nothing_in_nothing_out() -> None:
    run = reference_run()
    ledger = window_ledger(run.gradients().iloc[:0], run.events().iloc[:0]).frame
    assert len(ledger) == 0
    assert "coherence" in ledger.columns

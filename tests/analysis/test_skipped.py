"""An update that a GradScaler refused: no consumption, and not hidden."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradviz.analysis import sawtooth, thin_windows, window_ledger
from gradviz.figures import plot_sawtooth
from tests.reference_runs import reference_run


def skipped_run() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four windows; the second one overflowed, and its update did not happen."""
    run = reference_run(windows=(4, 4, 4, 2), poison=(1, 2))
    events = run.events()
    update = (events["phase"] == "update").to_numpy()
    events["skipped"] = np.where(update, (events["update"] == 1).astype(float), np.nan)
    events["amp_scale"] = 1024.0
    events["clip_coefficient"] = np.where(update, 0.5, np.nan)
    events["loss_weight"], events["loss_elements"] = 0.025, 10
    return run.gradients(), events


def test_the_ledger_says_skipped_and_not_consumed() -> None:
    ledger = window_ledger(*skipped_run()).frame
    assert ledger["skipped"].tolist() == [False, True, False, False]
    assert ledger["consumed"].tolist() == [True, False, True, True]
    assert ledger["amp_scale"].tolist() == [1024.0] * 4
    assert ledger["clip"].tolist() == [0.5] * 4
    np.testing.assert_allclose(ledger["weight"], [1.0, 1.0, 1.0, 0.5])
    gradients, events = skipped_run()
    unknown = window_ledger(gradients, events.drop(columns=["skipped", "loss_weight"])).frame
    assert unknown["consumed"].all()
    assert unknown["weight"].isna().all()


def test_the_picture_marks_it_and_no_diamond_says_consumed() -> None:
    gradients, events = skipped_run()
    after = (gradients["update"] > 1) & gradients["nonfinite"].notna()
    gradients.loc[after, ["mean_abs", "micro_mean_abs", "nonfinite"]] = [1.0, 0.5, 0]  # it recovered
    one = sawtooth(gradients, layer=str(gradients["layer"].cat.categories[0]), events=events)
    assert (
        np.flatnonzero(one.skipped).tolist() == np.flatnonzero((one.phase == 3) & (one.update == 1)).tolist()
    )
    assert not (one.rescaled & one.skipped).any()
    assert thin_windows(one, points=8).skipped.sum() <= 1
    words = plot_sawtooth(one).layout.title.subtitle.text.replace("<br>", " ")
    assert words.startswith(
        "Updates skipped by the GradScaler: 1. NaN or Inf first at update 1, micro-step 2;"
    )
    names = {trace.name: trace for trace in plot_sawtooth(one).data}
    assert len(names["update skipped by the GradScaler"].x) == 1
    assert set(names["update skipped by the GradScaler"].x).isdisjoint(names["consumed by the optimizer"].x)

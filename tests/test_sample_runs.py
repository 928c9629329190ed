"""The shipped sample runs show what their names say, and recording one again gives the same numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import gradviz
from gradviz.analysis import window_ledger

FOLDER = Path(__file__).parent.parent / "sample_runs"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/run.json"))


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample_runs", FOLDER / "make_sample_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights_at_updates(name: str) -> pd.DataFrame:
    rows = gradviz.open_run(FOLDER / name).gradients(phases=["update"])
    return rows[rows["layer"].astype(str).str.endswith("weight")]


def ledger(name: str) -> pd.DataFrame:
    run = gradviz.open_run(FOLDER / name)
    return window_ledger(run.gradients(), run.events()).frame


def test_the_samples_are_those_of_the_script_and_of_the_readme() -> None:
    assert sorted(script().SAMPLES) == NAMES
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in NAMES if f"| `{name}` |" not in readme] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole(name: str) -> None:
    run = gradviz.open_run(FOLDER / name)
    assert run.state == "finished"
    assert run.damaged == []
    assert run.gaps == []
    assert run.dropped == 0


def test_all_together_stay_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 4_000_000


def test_healthy_digits_builds_up_resets_and_ends_short() -> None:
    frame = ledger("healthy-digits-n4-short-last-window")
    assert frame[frame["consumed"]]["length"].tolist() == [*[4] * 14, 1] * 5
    assert set(frame["reset"]) == {"clean"}
    loss = gradviz.open_run(FOLDER / "healthy-digits-n4-short-last-window").events()["loss"].dropna()
    assert loss.tail(20).mean() < loss.head(20).mean() / 2, "it learns"


def test_never_resets_only_grows() -> None:
    assert set(ledger("never-resets")["reset"].iloc[1:]) == {"not reset"}
    norms = weights_at_updates("never-resets").groupby("update")["l2"].sum()
    assert norms.iloc[-1] > 10 * norms.iloc[0]


def test_the_deep_sigmoid_vanishes() -> None:
    rows = weights_at_updates("vanishing-deep-sigmoid")
    by_layer = rows.groupby("layer", observed=True)["mean_abs"].median()
    assert by_layer.iloc[0] < 1e-6 * by_layer.iloc[-1]


def test_the_diverging_run_ends_in_nan() -> None:
    rows = weights_at_updates("diverges-to-nan")
    first = rows[rows["nonfinite"] > 0]["update"].min()
    assert 0 < first < rows["update"].max()
    assert (rows[rows["update"] < first]["nonfinite"] == 0).all()
    assert (rows[rows["update"] > first + 1]["nonfinite"] > 0).all()


def test_the_transformer_has_windows_of_eight() -> None:
    frame = ledger("healthy-transformer-n8")
    assert set(frame[frame["consumed"]]["length"]) == {8}
    assert set(frame["reset"]) == {"clean"}


def test_mixed_precision_skips_at_first_and_clips() -> None:
    frame = ledger("mixed-precision-clipped")
    assert frame["skipped"].iloc[0]
    assert 0 < frame["skipped"].sum() < 10
    assert frame["amp_scale"].iloc[-1] < frame["amp_scale"].iloc[0]
    assert frame["consumed"].iloc[-1]
    assert (frame["clip"] < 0.999).any()


def test_recording_one_again_gives_the_same_numbers(tmp_path: Path) -> None:
    name = "vanishing-deep-sigmoid"
    again = gradviz.open_run(script().record(name, tmp_path))
    shipped = gradviz.open_run(FOLDER / name)
    pd.testing.assert_frame_equal(again.layers, shipped.layers)
    same = ["event", "update", "micro_step", "phase"]
    pd.testing.assert_frame_equal(again.events()[same], shipped.events()[same])
    np.testing.assert_allclose(again.events()["loss"], shipped.events()["loss"], rtol=1e-3)
    for column in ("mean_abs", "micro_l2"):
        # sums are taken in another order on another processor, and training carries that along
        ours, theirs = again.gradients()[column], shipped.gradients()[column]
        np.testing.assert_allclose(ours, theirs, rtol=2e-2)

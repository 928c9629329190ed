"""Which micro-batch made an update, against inner products of the vectors themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from gradviz.analysis import waterfall
from gradviz.analysis.window_shares import window_shares
from gradviz.schema import PHASES, Phase
from tests.reference_runs import reference_run

Vectors = NDArray[np.float64]


def window_of(layers: list[Vectors], left: list[Vectors] | None = None) -> pd.DataFrame:
    """Rows of one window: `layers[l][k - 1]` is g_k of layer l, `left[l]` what was left in it."""
    rows: list[dict[str, object]] = []
    for number, micro in enumerate(layers):
        sum_so_far = np.zeros(micro.shape[1]) if left is None else left[number]
        rows.append(_row(0, 0, Phase.RESET, number, sum_so_far, None, np.nan))
        for k, own in enumerate(micro, start=1):
            lengths = np.linalg.norm(own) * np.linalg.norm(sum_so_far)
            cosine = own @ sum_so_far / lengths if lengths > 0 else np.nan
            sum_so_far = sum_so_far + own
            rows.append(_row(k, k, Phase.MICRO_STEP, number, sum_so_far, own, cosine))
        rows.append(_row(len(micro) + 1, len(micro), Phase.UPDATE, number, sum_so_far, None, np.nan))
    frame = pd.DataFrame(rows)
    frame["phase"] = pd.Categorical(frame["phase"], categories=list(PHASES))
    frame["layer"] = frame["layer"].astype("category")
    return frame.astype({"nonfinite": "Int64", "micro_nonfinite": "Int64"})


def _row(
    event: int, k: int, phase: Phase, layer: int, grad: Vectors, own: Vectors | None, cosine: float
) -> dict[str, object]:
    return {
        "event": event,
        "update": 0,
        "micro_step": k,
        "phase": phase.name.lower(),
        "layer": f"layer_{layer}",
        "l2": np.linalg.norm(grad),
        "nonfinite": 0,
        "micro_l2": np.nan if own is None else np.linalg.norm(own),
        "micro_nonfinite": None if own is None else 0,
        "cosine": cosine,
    }


def true_shares(layers: list[Vectors], left: list[Vectors] | None = None) -> Vectors:
    """<g_k, G_n> / ||G_n||^2 over all layers; first of what was left."""
    given = [np.zeros(micro.shape[1]) for micro in layers] if left is None else left
    flat = np.concatenate([np.vstack([one, micro]) for one, micro in zip(given, layers, strict=True)], axis=1)
    whole = flat.sum(axis=0)
    return np.asarray(flat @ whole / (whole @ whole))


def test_micro_gradients_at_one_angle_have_exact_shares() -> None:
    """Pairwise cosines of 0.3, lengths of their own, in two layers with another angle each."""
    lengths = np.array([1.0, 5.0, 0.5, 2.0])
    layers = []
    for cosine in (0.3, -0.1):
        root = np.linalg.cholesky(np.full((4, 4), cosine) + (1 - cosine) * np.eye(4))
        layers.append(root * lengths[:, None])
    np.testing.assert_allclose(window_shares(window_of(layers)), true_shares(layers), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_of_any_window_the_sum_is_1_and_the_last_share_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = [rng.normal(0.3, 1.0, size=(6, width)) for width in (3, 40)]
    found, truth = window_shares(window_of(layers)), true_shares(layers)
    assert found.sum() == pytest.approx(1)
    assert found[-1] == pytest.approx(truth[-1])
    assert np.abs(found - truth).max() < 0.12


def test_a_micro_batch_that_dwarfs_the_others_is_found_wherever_it_stands() -> None:
    rng = np.random.default_rng(7)
    for place in range(8):
        micro = rng.normal(size=(8, 200))
        micro[place] *= 6
        shares = window_shares(window_of([micro]))
        assert np.argmax(shares) == place + 1
        assert shares[place + 1] == pytest.approx(true_shares([micro])[place + 1], abs=0.05)


def test_what_was_left_over_has_its_share() -> None:
    left, micro = np.array([3.0, 0.0]), np.array([[1.0, 0.0], [2.0, 0.0]])
    np.testing.assert_allclose(window_shares(window_of([micro], [left])), [3 / 6, 1 / 6, 2 / 6])


def test_one_that_pulls_back_has_a_negative_share() -> None:
    micro = np.array([[3.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(window_shares(window_of([micro])), [0, 1.5, -0.5])


@pytest.mark.parametrize("harm", ["hole", "nan", "no cosine", "edit", "not the sum"])
def test_what_is_not_known_is_nan(harm: str) -> None:
    frame = window_of([np.random.default_rng(0).normal(size=(4, 9))])
    if harm == "hole":
        frame = frame[frame["micro_step"] != 2]
    elif harm == "nan":
        frame.loc[frame["micro_step"] == 3, "nonfinite"] = 1
    elif harm == "no cosine":
        frame["cosine"] = np.nan
    elif harm == "edit":
        frame = pd.concat([frame, frame[frame["event"] == 2].assign(phase="edit", event=9)])
        frame["phase"] = pd.Categorical(frame["phase"], categories=list(PHASES))
        frame["layer"] = frame["layer"].astype("category")
    else:
        frame.loc[frame["micro_step"] == 4, "l2"] *= 2
    assert np.isnan(window_shares(frame)).all()


def test_the_waterfall_names_the_micro_step_with_the_largest_share() -> None:
    run = reference_run()
    found = waterfall(run.gradients(), update=1, events=run.events())
    micro = [np.concatenate([np.ravel(own[name]) for name in run.layer_names]) for own in run.micro[1]]  # type: ignore[arg-type]
    whole = np.sum(micro, axis=0)
    truth = np.array([one @ whole / (whole @ whole) for one in micro])
    shares = found.shares[found.phase == Phase.MICRO_STEP]
    assert found.micro_step[found.largest] == np.argmax(truth) + 1
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(shares, truth, atol=0.05)
    assert found.share == pytest.approx(shares.max())


def test_the_waterfall_carries_what_the_training_logged() -> None:
    run = reference_run()
    events = run.events().assign(samples=np.arange(len(run.events())) + 1.0, lr=0.1)
    found = waterfall(run.gradients(), update=0, events=events)
    assert list(found.logged) == ["samples"]
    np.testing.assert_array_equal(found.logged["samples"][found.phase == Phase.MICRO_STEP], [2, 3, 4, 5])

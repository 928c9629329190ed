"""The build-up against the definition, and on gradients whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gradviz.analysis import BuildUp, build_up
from gradviz.schema import PHASES
from tests.reference_runs import reference_run


def of_vectors(windows: list[np.ndarray], *, residual: float = 0.0) -> BuildUp:
    """The build-up of one layer whose g_k are the rows of each window."""
    rows: list[dict[str, object]] = []
    for update, window in enumerate(windows):
        rows.append({"update": update, "micro_step": 0, "phase": "reset", "l2": residual, "nonfinite": 0})
        for k, own in enumerate(window, start=1):
            norms = {"l2": np.linalg.norm(window[:k].sum(axis=0)), "micro_l2": np.linalg.norm(own)}
            counts = {"nonfinite": 0, "micro_nonfinite": 0}
            rows.append({"update": update, "micro_step": k, "phase": "micro_step"} | norms | counts)
    frame = pd.DataFrame(rows).assign(event=range(len(rows)), layer=pd.Categorical(["w"] * len(rows)))
    frame["phase"] = pd.Categorical(frame["phase"], categories=list(PHASES))
    return build_up(frame, layer="w")


def test_whole_model_is_the_definition() -> None:
    run = reference_run(windows=(4, 4, 4, 4, 2))
    expected: dict[int, list[float]] = {1: [], 2: [], 3: [], 4: []}
    for window in run.micro.values():
        vectors = [np.concatenate([own[name] for name in run.layer_names]) for own in window]
        rms = np.sqrt(np.mean([vector @ vector for vector in vectors]))
        for k in range(1, len(vectors) + 1):
            expected[k].append(float(np.linalg.norm(np.sum(vectors[:k], axis=0)) / rms))
    found = build_up(run.gradients())
    np.testing.assert_allclose(found.median, [np.median(expected[k]) for k in found.k], rtol=1e-5)
    np.testing.assert_allclose(found.high, [np.quantile(expected[k], 0.9) for k in found.k], rtol=1e-5)
    assert found.windows.tolist() == [5, 5, 4, 4]
    assert (found.used, found.total) == (5, 5)


def test_aligned_micro_batches_follow_k() -> None:
    found = of_vectors([np.tile([1.0, -2.0, 3.0], (8, 1))] * 3)
    np.testing.assert_allclose(found.median, np.arange(1, 9))
    assert found.region == "aligned"


def test_noise_follows_the_root_of_k() -> None:
    rng = np.random.default_rng(0)
    found = of_vectors([rng.normal(size=(16, 4000)) for _ in range(9)])
    np.testing.assert_allclose(found.median, np.sqrt(np.arange(1, 17)), rtol=0.03)
    assert found.region == "noisy"


def test_signal_in_noise_is_healthy() -> None:
    rng = np.random.default_rng(0)
    found = of_vectors([0.5 + rng.normal(size=(8, 400)) for _ in range(9)])
    assert found.region == "healthy"


def test_micro_batches_that_undo_each_other_conflict() -> None:
    signs = np.array([1, -1] * 4)[:, None]
    rng = np.random.default_rng(0)
    found = of_vectors([signs + 0.3 * rng.normal(size=(8, 400)) for _ in range(9)])
    assert found.region == "conflicting"


def test_windows_that_were_not_reset_do_not_count() -> None:
    run = build_up(reference_run(windows=(4,) * 5, reset="never").gradients())
    assert (run.used, run.not_reset) == (1, 4)
    stale = of_vectors([np.ones((4, 2))] * 3, residual=1.0)
    assert (stale.used, stale.not_reset, len(stale.k)) == (0, 3, 0)


def test_windows_changed_inside_do_not_count() -> None:
    found = build_up(reference_run(windows=(4,) * 5, reset="every_micro_step").gradients())
    assert (found.used, found.edited) == (0, 5)


def test_windows_with_nan_do_not_count() -> None:
    found = build_up(reference_run(windows=(4,) * 5, poison=(3, 1)).gradients())
    assert (found.used, found.nonfinite) == (3, 2)


def test_a_window_with_a_dropped_micro_step_does_not_count() -> None:
    frame = reference_run(windows=(4,) * 3).gradients()
    found = build_up(frame[(frame["update"] != 1) | (frame["micro_step"] != 2)])
    assert (found.used, found.incomplete) == (2, 1)


def test_a_layer_without_gradients_says_incomplete() -> None:
    found = build_up(reference_run(unused="first.bias").gradients(), layer="first.bias")
    assert (found.used, found.incomplete, found.region) == (0, 4, "")


@pytest.mark.parametrize("layer", [None, "first.weight", "no such layer"])
def test_nothing_in_nothing_out(layer: str | None) -> None:
    found = build_up(reference_run().gradients().iloc[:0], layer=layer)
    assert (found.used, found.total, len(found.k)) == (0, 0, 0)


def test_two_windows_are_too_few_for_a_verdict() -> None:
    assert of_vectors([np.ones((4, 2))] * 2).region == ""
    assert of_vectors([np.ones((4, 2))] * 3).region == "aligned"

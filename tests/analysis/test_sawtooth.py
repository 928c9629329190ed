"""The sawtooth against gradients summed by hand, and on every loop that goes wrong."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.analysis import STATISTICS, Sawtooth, Statistic, sawtooth
from gradviz.schema import Phase
from tests.reference_runs import ReferenceRun, reference_run

LAYER = "first.weight"


def of(run: ReferenceRun, layer: str = LAYER, statistic: Statistic = "mean_abs") -> Sawtooth:
    return sawtooth(run.gradients(), layer=layer, statistic=statistic, events=run.events())


def by_hand(run: ReferenceRun, layer: str, statistic: Statistic) -> list[float]:
    """The statistic of G_k at every micro-step, from the exact g_k."""
    measure = {
        "mean_abs": lambda vector: np.mean(np.abs(vector)),
        "l2": np.linalg.norm,
        "max_abs": lambda vector: np.max(np.abs(vector)),
    }[statistic]
    return [
        measure(np.sum([own[layer] for own in window[:k]], axis=0))
        for window in run.micro.values()
        for k in range(1, len(window) + 1)
    ]


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("layer", ["first.weight", "first.bias", "second.weight"])
def test_every_micro_step_is_the_sum_so_far(layer: str, statistic: Statistic) -> None:
    run = reference_run()
    tooth = of(run, layer, statistic)
    micro = tooth.phase == Phase.MICRO_STEP
    np.testing.assert_allclose(tooth.value[micro], by_hand(run, layer, statistic), rtol=1e-6)


def test_the_axis_counts_micro_steps_and_the_last_window_is_short() -> None:
    tooth = of(reference_run(windows=(4, 4, 2)))
    micro = tooth.phase == Phase.MICRO_STEP
    assert tooth.x[micro].tolist() == list(range(1, 11))
    assert tooth.window_length.tolist() == [4, 4, 2, 0]
    assert tooth.x[tooth.phase == Phase.RESET].tolist() == [0, 4, 8, 10]


def test_a_tooth_falls_at_the_place_where_its_update_stands() -> None:
    tooth = of(reference_run(windows=(4, 4)))
    resets, updates = tooth.phase == Phase.RESET, tooth.phase == Phase.UPDATE
    assert tooth.x[resets][1:].tolist() == tooth.x[updates].tolist()
    assert tooth.joined[resets].tolist() == [False, True, True]


def test_a_cleared_gradient_is_a_clean_reset_and_counts_as_zero() -> None:
    tooth = of(reference_run(windows=(4, 4)))
    assert tooth.clean.sum() == 3
    assert not tooth.not_reset.any()
    assert np.isnan(tooth.value[tooth.clean]).all()
    assert tooth.cleared_value[tooth.clean].tolist() == [0, 0, 0]


def test_a_run_that_never_resets_carries_the_whole_past() -> None:
    run = reference_run(windows=(4, 4, 2), reset="never")
    tooth = of(run)
    everything = [own[LAYER] for window in run.micro.values() for own in window]
    stale = [np.mean(np.abs(np.sum(everything[:count], axis=0))) for count in (4, 8)]
    np.testing.assert_allclose(tooth.value[tooth.not_reset], stale, rtol=1e-6)
    assert (tooth.stale_total, tooth.resets_total) == (2, 3)


def test_what_is_left_at_the_end_of_a_run_is_no_missing_reset() -> None:
    tooth = of(reference_run(windows=(4, 4), reset="every_micro_step"))
    assert tooth.left.sum() == 1
    assert not tooth.not_reset.any()
    assert tooth.edited_total == 2


def test_clipping_separates_what_arrived_from_what_was_consumed() -> None:
    run = reference_run(windows=(4, 4), clip=0.1)
    tooth = of(run, statistic="l2")
    rows = tooth.phase == Phase.UPDATE
    assert tooth.rescaled.tolist() == rows.tolist()
    assert (tooth.value[rows] < tooth.arrived[rows]).all()
    np.testing.assert_allclose(tooth.arrived[rows], [by_hand(run, LAYER, "l2")[k] for k in (3, 7)], rtol=1e-6)


def test_nothing_is_rescaled_where_the_optimizer_takes_the_sum() -> None:
    assert not of(reference_run()).rescaled.any()


def test_nan_is_kept_and_told_from_no_gradient() -> None:
    tooth = of(reference_run(windows=(4,), poison=(0, 2)))
    micro = tooth.phase == Phase.MICRO_STEP
    assert tooth.nonfinite[micro].tolist() == [0, 3, 3, 3]
    assert tooth.micro_nonfinite[micro].tolist() == [0, 3, 0, 0]
    unused = of(reference_run(windows=(4,), unused="first.bias"), layer="first.bias")
    assert (unused.nonfinite == -1).all()


def test_windows_that_were_not_recorded_leave_a_hole_that_no_line_crosses() -> None:
    run = reference_run(windows=(4,) * 6)
    frame = run.gradients()
    tooth = sawtooth(frame[~frame["update"].isin([2, 3])], layer=LAYER)
    after = np.flatnonzero(tooth.update == 4)[0]
    assert tooth.window_missed.tolist() == [0, 0, 2, 0, 0]
    assert not tooth.joined[after]
    assert tooth.x[after] > tooth.x[after - 1]


def test_a_dropped_event_inside_a_window_breaks_the_line() -> None:
    frame = reference_run(windows=(4, 4)).gradients()
    dropped = frame[(frame["update"] == 0) & (frame["micro_step"] == 2)]["event"].unique()
    tooth = sawtooth(frame[~frame["event"].isin(dropped)], layer=LAYER)
    micro = (tooth.phase == Phase.MICRO_STEP) & (tooth.update == 0)
    assert tooth.x[micro].tolist() == [1, 3, 4]
    assert tooth.joined[micro].tolist() == [True, False, True]


def test_a_dropped_reset_is_not_guessed() -> None:
    frame = reference_run(windows=(4, 4)).gradients()
    tooth = sawtooth(frame[(frame["phase"] != "reset") | (frame["update"] != 1)], layer=LAYER)
    first = np.flatnonzero((tooth.update == 1) & (tooth.micro_step == 1))[0]
    assert not tooth.joined[first]
    assert tooth.resets_total == 1


def test_layers_of_one_frame_share_their_axis_though_one_has_no_update_rows() -> None:
    frame = reference_run(windows=(4, 2, 4)).gradients()
    other = frame[(frame["layer"] != "first.bias") | (frame["phase"] != "update")]
    bias, weight = (sawtooth(other, layer=layer) for layer in ("first.bias", LAYER))
    micro = [one.x[one.phase == Phase.MICRO_STEP].tolist() for one in (bias, weight)]
    assert micro[0] == micro[1]


def test_the_loss_of_each_micro_step_comes_from_the_events() -> None:
    run = reference_run(windows=(2,))
    losses = [row["loss"] for row in run.event_rows if row["phase"] == "micro_step"]
    tooth = of(run)
    assert tooth.loss[tooth.phase == Phase.MICRO_STEP].tolist() == losses


def test_a_skipped_window_that_keeps_its_update_number_is_a_window_of_its_own() -> None:
    frame = reference_run(windows=(3, 3)).gradients()
    frame.loc[frame["update"] >= 1, "update"] -= 1
    tooth = sawtooth(frame[frame["phase"] != "update"], layer=LAYER)
    assert tooth.window_length.tolist() == [3, 3, 0]


@pytest.mark.parametrize("layer", [LAYER, "no such layer"])
def test_nothing_in_nothing_out(layer: str) -> None:
    frame = reference_run().gradients().iloc[:0]
    assert len(sawtooth(frame, layer=layer).event) == 0

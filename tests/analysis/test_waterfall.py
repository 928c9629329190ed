"""The waterfall: its bars add up to what the optimizer consumed."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.analysis import STATISTICS, Statistic, waterfall
from gradviz.errors import QueryError
from gradviz.schema import Phase
from tests.reference_runs import reference_run


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_changes_add_up(statistic: Statistic) -> None:
    run = reference_run(clip=0.5)
    found = waterfall(run.gradients(), update=1, layer="first.weight", statistic=statistic)
    consumed = found.after[found.phase == Phase.UPDATE]
    assert found.change.sum() == pytest.approx(consumed[0], rel=1e-6)


def test_the_whole_model_combines_norms() -> None:
    run = reference_run()
    found = waterfall(run.gradients(), update=2)
    sums = [
        np.sqrt(
            sum(np.sum(np.sum([own[name] for own in run.micro[2][:k]], axis=0) ** 2) for name in own_names)
        )
        for k in (1, 2, 3, 4)
        for own_names in [run.layer_names]
    ]
    np.testing.assert_allclose(found.after[found.phase == Phase.MICRO_STEP], sums, rtol=1e-6)


def test_without_cosines_the_largest_movement_is_flagged_with_its_part() -> None:
    found = waterfall(reference_run().gradients().assign(cosine=np.nan), update=0)
    assert not found.has_shares
    micro = np.abs(found.change[found.phase == Phase.MICRO_STEP])
    assert np.abs(found.change[found.largest]) == micro.max()
    assert found.share == pytest.approx(micro.max() / micro.sum())


def test_a_stale_start_is_the_first_bar() -> None:
    found = waterfall(reference_run(reset="never").gradients(), update=1)
    assert found.after[0] > 0
    assert found.before[1] == found.after[0]


def test_nan_and_a_dropped_micro_step_leave_no_bar() -> None:
    poisoned = waterfall(reference_run(poison=(1, 2)).gradients(), update=1)
    assert np.isnan(poisoned.change[2:]).all()
    frame = reference_run().gradients()
    holed = waterfall(frame[frame["micro_step"] != 2], update=1)
    assert np.isnan(holed.before[holed.micro_step == 3]).all()


def test_a_mean_over_several_layers_is_refused() -> None:
    with pytest.raises(QueryError, match="Ask for one layer"):
        waterfall(reference_run().gradients(), update=1, statistic="mean_abs")


def test_a_maximum_over_several_layers_is_the_maximum() -> None:
    frame = reference_run().gradients()
    found = waterfall(frame, update=1, statistic="max_abs")
    rows = frame[(frame["update"] == 1) & (frame["micro_step"] == 3)]
    assert found.after[found.micro_step == 3] == pytest.approx(rows["max_abs"].max())


def test_two_optimizers_consume_one_window_together() -> None:
    frame = reference_run().gradients()
    apart = frame.assign(event=2 * frame["event"])
    apart.loc[(apart["layer"] == "first.bias") & (apart["phase"] == "update"), "event"] += 1
    together, split = waterfall(frame, update=1), waterfall(apart, update=1)
    np.testing.assert_array_equal(split.phase, together.phase)
    np.testing.assert_allclose(split.after, together.after)


def test_nothing_in_nothing_out() -> None:
    found = waterfall(reference_run().gradients(), update=99)
    assert (len(found.phase), found.largest) == (0, -1)

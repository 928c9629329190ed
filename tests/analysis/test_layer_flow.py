"""All layers at one event: order, missing rows, missing gradients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradviz.analysis import layer_flow
from tests.reference_runs import reference_run


def test_values_are_those_of_the_event() -> None:
    run = reference_run()
    frame = run.gradients()
    event = int(frame[(frame["update"] == 1) & (frame["micro_step"] == 3)]["event"].iloc[0])
    flow = layer_flow(frame, event=event)
    total = [np.mean(np.abs(np.sum([own[name] for own in run.micro[1][:3]], axis=0))) for name in flow.layers]
    own = [np.mean(np.abs(run.micro[1][2][name])) for name in flow.layers]
    np.testing.assert_allclose(flow.accumulated, total, rtol=1e-6)
    np.testing.assert_allclose(flow.micro, own, rtol=1e-6)
    assert (flow.update, flow.micro_step, flow.phase) == (1, 3, "micro_step")
    assert flow.layers == run.layer_names


def test_layers_come_in_the_order_of_the_run() -> None:
    run = reference_run()
    order = pd.DataFrame({"layer": list(reversed(run.layer_names))})
    flow = layer_flow(run.gradients(), event=1, layers=order)
    assert flow.layers == tuple(reversed(run.layer_names))
    np.testing.assert_array_equal(flow.accumulated, layer_flow(run.gradients(), event=1).accumulated[::-1])


def test_none_nan_and_not_recorded_are_three_things() -> None:
    run = reference_run(windows=(4,), unused="first.bias", poison=(0, 1))
    frame = run.gradients()
    frame = frame[(frame["layer"] != "second.weight") | (frame["event"] != 1)]
    flow = layer_flow(frame, event=1, layers=run.layers())
    assert flow.nonfinite.tolist() == [3, -1, -1]
    assert flow.recorded.tolist() == [True, True, False]


def test_an_event_that_is_not_there() -> None:
    flow = layer_flow(reference_run().gradients(), event=10_000)
    assert not flow.recorded.any()
    assert flow.phase == ""

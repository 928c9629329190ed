"""What a second reviewer broke: each case once, as small as it gets."""

from __future__ import annotations

import torch
from loop_story import batches, make_model, record


def test_a_dropped_recorder_among_other_hooks_does_not_stop_the_step() -> None:
    """To remove a hook while torch walks through all of them raises out of `optimizer.step`."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, _ = record(model)
    other, writer = record(model)
    del recorder
    for _ in range(2):
        model(batches(1)[0]).sum().backward()
        optimizer.step()
    other.close()
    assert [label for label in writer.labels() if label.startswith("u")] == ["u0.1", "u1.1"]

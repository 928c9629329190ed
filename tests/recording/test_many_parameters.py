"""20,000 parameters: recorded whole, and read whole; what is quadratic in their number would not come to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gradviz
from gradviz.schema import RunState

COUNT, WIDTH = 20_000, 2


@pytest.mark.soak
def test_every_gradient_of_twenty_thousand_parameters(tmp_path: Path) -> None:
    parameters = [torch.nn.Parameter(torch.ones(WIDTH)) for _ in range(COUNT)]
    named = [(f"blocks.{i // 10}.layers.{i % 10}.weight", p) for i, p in enumerate(parameters)]
    optimizer = torch.optim.SGD(parameters, lr=0.5, momentum=0.9)
    scales = torch.arange(1.0, COUNT + 1)
    with gradviz.watch(named, optimizer, run_dir=tmp_path, strict=True) as recorder:
        for _ in range(2):
            (torch.stack(parameters).sum(dim=1) * scales).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert recorder._writer.flush(timeout=120)  # type: ignore[attr-defined]  # closing waits for 10 s
    run = gradviz.open_run(str(recorder.run_path))
    assert (run.state, run.dropped, run.damaged, len(run.layers)) == (RunState.FINISHED, 0, [], COUNT)
    updates = run.gradients(phases="update", columns=["layer", "max_abs", "step_l2"])
    assert len(updates) == COUNT
    expected = 2 * scales.double()
    updates = updates.set_index("layer").loc[[name for name, _ in named]]
    torch.testing.assert_close(torch.tensor(updates["max_abs"].to_numpy()).double(), expected)
    moved = 0.5 * expected * WIDTH**0.5
    torch.testing.assert_close(torch.tensor(updates["step_l2"].to_numpy()).double(), moved, rtol=1e-3, atol=0)

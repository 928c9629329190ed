"""Trainings that are written twice, by hand and with a library, and what their runs must agree in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gradviz

N, BATCHES = 4, 10  # two full windows and one of two

STATISTICS = ["mean_abs", "l2", "max_abs", "micro_mean_abs", "micro_l2", "micro_max_abs"]
RIGHT = "r0 m0.1 m0.2 m0.3 m0.4 u0.4 r1 m1.1 m1.2 m1.3 m1.4 u1.4 r2 m2.1 m2.2 u2.2"
CLEARED_AFTERWARDS = f"{RIGHT} r3"  # `zero_grad` after the step: the last one is seen at close


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def make_loader(batches: int = BATCHES) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Batches of five, in order."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(5 * batches, 6, generator=generator)
    labels = torch.randint(3, (5 * batches,), generator=generator)
    return DataLoader(TensorDataset(inputs, labels), batch_size=5)


def ends(i: int) -> bool:
    return (i + 1) % N == 0 or i + 1 == BATCHES


def story(path: Path | None) -> str:
    """The run in short: `r0` reset of window 0, `m0.1` a micro-step, `e0.1` an edit, `u0.2` the update."""
    assert path is not None
    events = gradviz.open_run(path).events()
    assert events["event"].tolist() == list(range(len(events)))
    return " ".join(
        f"r{update}" if phase == "reset" else f"{phase[0]}{update}.{micro_step}"
        for phase, update, micro_step in zip(
            events["phase"], events["update"], events["micro_step"], strict=True
        )
    )


def assert_same_run(path: Path | None, by_hand: Path | None, *, rtol: float = 1e-6) -> None:
    """Both runs have the same events, layers and numbers."""
    assert path is not None
    assert by_hand is not None
    assert story(path) == story(by_hand)
    ours, theirs = gradviz.open_run(path).gradients(), gradviz.open_run(by_hand).gradients()
    for column in ["event", "update", "micro_step", "phase", "layer", "nonfinite"]:
        assert ours[column].astype(str).tolist() == theirs[column].astype(str).tolist(), column
    for column in STATISTICS:
        np.testing.assert_allclose(ours[column], theirs[column], rtol=rtol, atol=1e-12, err_msg=column)
    assert (ours["l2"] > 0).any()

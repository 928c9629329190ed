"""Trainings with Lightning, and by hand as Lightning does them.

Loading Lightning takes seconds: only the process that runs its tests is to do so, when it does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision as MixedPrecision
from stories import BATCHES, N, ends, make_loader, make_model
from torch import nn

import gradviz
from gradviz.integrations.lightning import GradvizCallback

F = nn.functional

SETTINGS: dict[str, Any] = {
    "accelerator": "cpu",
    "max_epochs": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Automatic(LightningModule):
    """The small model of the stories; its layers carry the prefix `net.`."""

    def __init__(self, optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD) -> None:
        super().__init__()
        self.net = make_model()
        self._make = optimizer

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self._make(self.parameters(), lr=0.1)


class Manual(Automatic):
    """Accumulates in its own training step."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        optimizer = self.optimizers()
        if batch_idx % N == 0:
            optimizer.zero_grad()  # type: ignore[union-attr]
        self.manual_backward(super().training_step(batch, batch_idx) / N)
        if ends(batch_idx):
            optimizer.step()  # type: ignore[union-attr]


def trainer(module: LightningModule, **options: Any) -> Trainer:
    steps = {"accumulate_grad_batches": N} if module.automatic_optimization else {}
    return Trainer(**(SETTINGS | steps | options))


def by_hand(folder: Path, *, clip: float | None = None, short: int = N, epochs: int = 1) -> Path | None:
    """As Lightning does it: `zero_grad` before a window; a short last one is divided by N, or by `short`."""
    module = Automatic()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    with gradviz.watch(module, optimizer, run_dir=folder) as recorder:
        for _ in range(epochs):
            for i, batch in enumerate(make_loader()):
                if i % N == 0:
                    optimizer.zero_grad()
                (module.training_step(batch, i) / (short if i >= BATCHES - BATCHES % N else N)).backward()
                if ends(i):
                    if clip is not None:
                        nn.utils.clip_grad_norm_(module.parameters(), clip)
                    optimizer.step()
    return recorder.run_path


def fitted(module: LightningModule, folder: Path, **options: Any) -> Path | None:
    callback = GradvizCallback(run_dir=folder)
    trainer(module, callbacks=[callback], **options).fit(module, make_loader())
    return callback.recorder.run_path


class Failing(Automatic):
    """Raises in the third micro-step."""

    error: type[BaseException] = ArithmeticError

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 2:
            raise self.error("diverged")
        return super().training_step(batch, batch_idx)


class Closures(Manual):
    """Each batch is a window of two micro-batches, inside the closure that it gives to the optimizer."""

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        optimizer = self.optimizers()
        optimizer.step(closure=closure_of(self, optimizer, batch, self.manual_backward))  # type: ignore[union-attr]


def closure_of(
    module: Automatic, optimizer: Any, batch: Any, backward: Callable[..., object]
) -> Callable[[], Any]:
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        inputs, labels = batch
        losses = [F.cross_entropy(module.net(inputs[i::2]), labels[i::2]) / 2 for i in (0, 1)]
        for loss in losses:
            backward(loss)
        return sum(losses)  # type: ignore[return-value]

    return closure


def closures_by_hand(folder: Path) -> Path | None:
    module = Automatic()
    optimizer = module.configure_optimizers()
    with gradviz.watch(module, optimizer, run_dir=folder) as recorder:
        for batch in make_loader():
            optimizer.step(closure_of(module, optimizer, batch, torch.autograd.backward))
    return recorder.run_path


def lbfgs(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(parameters, lr=lr, max_iter=3)


def lbfgs_by_hand(folder: Path, batches: int) -> Path | None:
    """A window each batch, of as many micro-steps as it calls its closure."""
    module = Automatic(lbfgs)
    optimizer = module.configure_optimizers()
    with gradviz.watch(module, optimizer, run_dir=folder) as recorder:
        for batch in islice(make_loader(), batches):

            def closure(batch: Any = batch) -> torch.Tensor:
                optimizer.zero_grad()
                loss = F.cross_entropy(module.net(batch[0]), batch[1])
                loss.backward()
                return loss

            optimizer.step(closure)
    return recorder.run_path

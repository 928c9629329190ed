"""Lightning: the same run as by hand, with plain `watch` and with the callback."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from stories import BATCHES, RIGHT, N, assert_same_run, ends, make_loader, make_model, story
from torch import nn

import gradviz
from gradviz.integrations.lightning import GradvizCallback

F = nn.functional

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),  # Lightning's own
    pytest.mark.filterwarnings(
        "ignore:.*does not have many workers:UserWarning"
    ),  # five rows a batch need none
]

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


@pytest.mark.parametrize("kind", [Automatic, Manual])
def test_plain_watch(kind: type[Automatic], tmp_path: Path) -> None:
    module = kind()
    with gradviz.watch(module, run_dir=tmp_path) as recorder:
        trainer(module).fit(module, make_loader())
    assert story(recorder.run_path) == f"{RIGHT} r3"
    assert_same_run(recorder.run_path, by_hand(tmp_path))


@pytest.mark.parametrize("kind", [Automatic, Manual])
def test_the_callback_records_the_same(kind: type[Automatic], tmp_path: Path) -> None:
    path = fitted(kind(), tmp_path)
    assert_same_run(path, by_hand(tmp_path))
    assert path is not None
    run = gradviz.open_run(path)
    declared = N if kind is Automatic else None
    assert (run.state, run.metadata["accumulation_steps"], run.name) == ("finished", declared, kind.__name__)
    micro = run.events().query("phase == 'micro_step'")
    assert micro["samples"].tolist() == [5] * BATCHES
    assert micro["epoch"].tolist() == [0] * BATCHES


def test_two_epochs_do_not_share_a_window(tmp_path: Path) -> None:
    assert_same_run(fitted(Automatic(), tmp_path, max_epochs=2), by_hand(tmp_path, epochs=2))


def test_clipping_inside_the_closure(tmp_path: Path) -> None:
    path = fitted(Automatic(), tmp_path, gradient_clip_val=0.05)
    assert_same_run(path, by_hand(tmp_path, clip=0.05))
    assert path is not None
    rows = gradviz.open_run(path).gradients(phases=["update"])
    norms = rows.groupby("update")["l2"].apply(lambda l2: np.sqrt((l2**2).sum()))
    np.testing.assert_allclose(norms, 0.05, rtol=1e-4)


def test_a_closure_that_runs_many_times(tmp_path: Path) -> None:
    def lbfgs(parameters: Any, lr: float) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(parameters, lr=lr, max_iter=3)

    path = fitted(Automatic(lbfgs), tmp_path, accumulate_grad_batches=1, limit_train_batches=2)
    assert story(path) == "r0 m0.1 e0.1 m0.2 e0.2 m0.3 u0.3 r1 m1.1 e1.1 m1.2 e1.2 m1.3 u1.3 r2"


def test_a_short_last_window_divided_by_n_is_seen(tmp_path: Path) -> None:
    """lightning#19987: two micro-batches are divided by four, and their update is half as long as it should be."""
    path = fitted(Automatic(), tmp_path)
    right = by_hand(tmp_path, short=BATCHES % N)
    assert path is not None
    assert right is not None
    theirs, ours = (gradviz.open_run(p).gradients(phases=["update"]) for p in (path, right))
    ratio = (theirs["l2"] / ours["l2"]).to_numpy()
    full = (theirs["update"] < 2).to_numpy()
    np.testing.assert_allclose(ratio[full], 1, rtol=1e-6)
    np.testing.assert_allclose(ratio[~full], 0.5, rtol=1e-5)
    micro = gradviz.open_run(path).events().query("phase == 'micro_step'")
    weights = (micro["loss_weight"] * micro["loss_elements"].astype(float)).groupby(micro["update"]).sum()
    np.testing.assert_allclose(weights, [1, 1, 0.5], rtol=1e-6)
    assert [(f.code, f.update) for f in gradviz.diagnose(gradviz.open_run(path))] == [("short-window", 2)]


def test_the_scaler_is_passed_on(tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    precision = MixedPrecision("16-mixed", device="cpu", scaler=scaler)
    path = fitted(Automatic(), tmp_path, plugins=[precision])
    assert path is not None
    micro = gradviz.open_run(path).events().query("phase == 'micro_step'")
    assert micro["amp_scale"].tolist() == [8.0] * BATCHES


class Failing(Automatic):
    """Raises in the third micro-step."""

    error: type[BaseException] = ArithmeticError

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 2:
            raise self.error("diverged")
        return super().training_step(batch, batch_idx)


def test_an_exception_closes_the_run_as_crashed(tmp_path: Path) -> None:
    callback, module = GradvizCallback(run_dir=tmp_path), Failing()
    with pytest.raises(ArithmeticError, match="diverged"):
        trainer(module, callbacks=[callback]).fit(module, make_loader())
    assert callback.recorder.run_path is not None
    run = gradviz.open_run(callback.recorder.run_path)
    assert (run.state, run.reason) == ("crashed", "ArithmeticError")
    assert story(run.path) == "r0 m0.1 m0.2"


def test_ctrl_c_closes_the_run_as_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "error", KeyboardInterrupt)
    callback, module, before = GradvizCallback(run_dir=tmp_path), Failing(), signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit):
            trainer(module, callbacks=[callback]).fit(module, make_loader())
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning has made the process deaf to it
    assert callback.recorder.run_path is not None
    run = gradviz.open_run(callback.recorder.run_path)
    assert (run.state, run.reason) == ("stopped", "KeyboardInterrupt")

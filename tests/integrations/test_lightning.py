"""Lightning: the same run as by hand, with plain `watch` and with the callback."""

from __future__ import annotations

import signal
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from stories import BATCHES, RIGHT, N, assert_same_run, make_loader, story

import gradviz

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),  # Lightning's own
    pytest.mark.filterwarnings(
        "ignore:.*does not have many workers:UserWarning"
    ),  # five rows a batch need none
]


@pytest.mark.parametrize("kind", ["Automatic", "Manual"])
def test_plain_watch(lightning: ModuleType, kind: str, tmp_path: Path) -> None:
    module = getattr(lightning, kind)()
    with gradviz.watch(module, run_dir=tmp_path) as recorder:
        lightning.trainer(module).fit(module, make_loader())
    assert story(recorder.run_path) == f"{RIGHT} r3"
    assert_same_run(recorder.run_path, lightning.by_hand(tmp_path))


@pytest.mark.parametrize("kind", ["Automatic", "Manual"])
def test_the_callback_records_the_same(lightning: ModuleType, kind: str, tmp_path: Path) -> None:
    path = lightning.fitted(getattr(lightning, kind)(), tmp_path)
    assert_same_run(path, lightning.by_hand(tmp_path))
    assert path is not None
    run = gradviz.open_run(path)
    declared = N if kind == "Automatic" else None
    assert (run.state, run.metadata["accumulation_steps"], run.name) == ("finished", declared, kind)
    micro = run.events().query("phase == 'micro_step'")
    assert micro["samples"].tolist() == [5] * BATCHES
    assert micro["epoch"].tolist() == [0] * BATCHES


def test_two_epochs_do_not_share_a_window(lightning: ModuleType, tmp_path: Path) -> None:
    assert_same_run(
        lightning.fitted(lightning.Automatic(), tmp_path, max_epochs=2), lightning.by_hand(tmp_path, epochs=2)
    )


def test_clipping_inside_the_closure(lightning: ModuleType, tmp_path: Path) -> None:
    path = lightning.fitted(lightning.Automatic(), tmp_path, gradient_clip_val=0.05)
    assert_same_run(path, lightning.by_hand(tmp_path, clip=0.05))
    assert path is not None
    rows = gradviz.open_run(path).gradients(phases=["update"])
    norms = rows.groupby("update")["l2"].apply(lambda l2: np.sqrt((l2**2).sum()))
    np.testing.assert_allclose(norms, 0.05, rtol=1e-4)


def test_a_closure_that_runs_many_times(lightning: ModuleType, tmp_path: Path) -> None:
    once = {"accumulate_grad_batches": 1, "limit_train_batches": 2}
    path = lightning.fitted(lightning.Automatic(lightning.lbfgs), tmp_path, **once)
    assert story(path) == "r0 m0.1 e0.1 m0.2 e0.2 m0.3 u0.3 r1 m1.1 e1.1 m1.2 e1.2 m1.3 u1.3 r2"
    assert_same_run(path, lightning.lbfgs_by_hand(tmp_path, 2))


def test_a_window_inside_a_closure_of_manual_optimization(lightning: ModuleType, tmp_path: Path) -> None:
    path = lightning.fitted(lightning.Closures(), tmp_path)
    windows = [f"r{i} m{i}.1 m{i}.2 u{i}.2" for i in range(BATCHES)]
    assert story(path) == " ".join([*windows, f"r{BATCHES}"])
    assert_same_run(path, lightning.closures_by_hand(tmp_path))


def test_a_short_last_window_divided_by_n_is_seen(lightning: ModuleType, tmp_path: Path) -> None:
    """lightning#19987: two micro-batches are divided by four, and their update is half as long as it should be."""
    path = lightning.fitted(lightning.Automatic(), tmp_path)
    right = lightning.by_hand(tmp_path, short=BATCHES % N)
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


def test_the_scaler_is_passed_on(lightning: ModuleType, tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    precision = lightning.MixedPrecision("16-mixed", device="cpu", scaler=scaler)
    path = lightning.fitted(lightning.Automatic(), tmp_path, plugins=[precision])
    assert path is not None
    micro = gradviz.open_run(path).events().query("phase == 'micro_step'")
    assert micro["amp_scale"].tolist() == [8.0] * BATCHES


def test_an_exception_closes_the_run_as_crashed(lightning: ModuleType, tmp_path: Path) -> None:
    callback, module = lightning.GradvizCallback(run_dir=tmp_path), lightning.Failing()
    with pytest.raises(ArithmeticError, match="diverged"):
        lightning.trainer(module, callbacks=[callback]).fit(module, make_loader())
    assert callback.recorder.run_path is not None
    run = gradviz.open_run(callback.recorder.run_path)
    assert (run.state, run.reason) == ("crashed", "ArithmeticError")
    assert story(run.path) == "r0 m0.1 m0.2"


def test_ctrl_c_closes_the_run_as_stopped(
    lightning: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lightning.Failing, "error", KeyboardInterrupt)
    callback, module, before = (
        lightning.GradvizCallback(run_dir=tmp_path),
        lightning.Failing(),
        signal.getsignal(signal.SIGINT),
    )
    try:
        with pytest.raises(SystemExit):
            lightning.trainer(module, callbacks=[callback]).fit(module, make_loader())
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning has made the process deaf to it
    assert callback.recorder.run_path is not None
    run = gradviz.open_run(callback.recorder.run_path)
    assert (run.state, run.reason) == ("stopped", "KeyboardInterrupt")

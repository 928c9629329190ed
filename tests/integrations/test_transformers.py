"""Hugging Face Trainer: the same run as by hand, with plain `watch` and with the callback."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from stories import CLEARED_AFTERWARDS, N, assert_same_run, story

import gradviz


def test_plain_watch(transformers: ModuleType, tmp_path: Path) -> None:
    model = transformers.make_model()
    trainer = transformers.make_trainer(model, tmp_path)
    with gradviz.watch(model, run_dir=tmp_path) as recorder:
        trainer.train()
    assert story(recorder.run_path) == CLEARED_AFTERWARDS
    assert_same_run(recorder.run_path, transformers.by_hand(tmp_path))


def test_the_callback_records_the_same(transformers: ModuleType, tmp_path: Path) -> None:
    callback = transformers.GradvizCallback(run_dir=tmp_path)
    model = transformers.make_model()
    transformers.make_trainer(model, tmp_path, callbacks=[callback]).train()
    path = callback.recorder.run_path
    assert_same_run(path, transformers.by_hand(tmp_path))
    assert path is not None
    run = gradviz.open_run(path)
    assert (run.state, run.metadata["accumulation_steps"]) == ("finished", N)
    micro = run.events().query("phase == 'micro_step'")
    assert micro["samples"].tolist() == [3] * 10
    assert micro["tokens"].tolist() == [
        int(batch["attention_mask"].sum()) for batch in transformers.batches()
    ]
    assert micro["epoch"].tolist() == [0] * 4 + [0.4] * 4 + [0.8] * 2
    assert gradviz.diagnose(run) == [], "each window is divided by its own tokens"
    assert not model._forward_pre_hooks


def test_a_second_training_is_a_second_run(transformers: ModuleType, tmp_path: Path) -> None:
    callback = transformers.GradvizCallback(run_dir=tmp_path)
    trainer = transformers.make_trainer(
        transformers.make_model(), tmp_path, callbacks=[callback], max_steps=1
    )
    trainer.train()
    first = callback.recorder.run_path
    trainer.train()
    assert callback.recorder.run_path != first
    assert story(first) == story(callback.recorder.run_path) == "r0 m0.1 m0.2 m0.3 m0.4 u0.4 r1"


def test_an_evaluation_in_between_leaves_no_trace(transformers: ModuleType, tmp_path: Path) -> None:
    callback = transformers.GradvizCallback(run_dir=tmp_path)
    evaluation = {"eval_strategy": "steps", "eval_steps": 1, "eval_on_start": True}
    data = {"callbacks": [callback], "eval_dataset": transformers.make_samples()[:5]}
    transformers.make_trainer(transformers.make_model(), tmp_path, **data, **evaluation).train()
    path = callback.recorder.run_path
    assert path is not None
    assert_same_run(path, transformers.by_hand(tmp_path))
    micro = gradviz.open_run(path).events().query("phase == 'micro_step'")
    assert micro["samples"].tolist() == [3] * 10


@pytest.mark.filterwarnings("ignore:.*script_method. is deprecated:DeprecationWarning")  # torch's own
def test_a_compiled_model_gets_no_hook_that_breaks_its_graph(
    transformers: ModuleType, tmp_path: Path
) -> None:
    torch._dynamo.reset()
    callback, model = transformers.GradvizCallback(run_dir=tmp_path), transformers.make_model()
    compiled = {"torch_compile": True, "torch_compile_backend": "eager"}
    transformers.make_trainer(model, tmp_path, callbacks=[callback], **compiled).train()
    path = callback.recorder.run_path
    assert path is not None
    assert_same_run(path, transformers.by_hand(tmp_path))
    assert "samples" not in gradviz.open_run(path).events()


def test_an_exception_closes_the_run_as_crashed(transformers: ModuleType, tmp_path: Path) -> None:
    class Failing(transformers.Trainer):
        def compute_loss(self, *_: Any, **__: Any) -> Any:
            raise ArithmeticError("diverged")

    model = transformers.make_model()
    arguments = transformers.make_trainer(model, tmp_path).args
    with (
        pytest.raises(ArithmeticError, match="diverged"),
        transformers.GradvizCallback(run_dir=tmp_path) as callback,
    ):
        Failing(model, arguments, train_dataset=transformers.make_samples(), callbacks=[callback]).train()
    assert callback.recorder.run_path is not None
    run = gradviz.open_run(callback.recorder.run_path)
    assert (run.state, run.reason) == ("crashed", "ArithmeticError")
    assert not model._forward_pre_hooks

"""Hugging Face Trainer: the same run as by hand, with plain `watch` and with the callback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from stories import CLEARED_AFTERWARDS, N, assert_same_run, ends, story
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

import gradviz
from gradviz.integrations.transformers import GradvizCallback

SAMPLES, LENGTH, WORDS = 30, 12, 40  # ten batches of three
SETTINGS: dict[str, Any] = {
    "per_device_train_batch_size": 3,
    "num_train_epochs": 1,
    "train_sampling_strategy": "sequential",
    "optim": "sgd",
    "learning_rate": 0.1,
    "lr_scheduler_type": "constant",
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
}


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, max_position_embeddings=16, **sizes))


def make_samples() -> list[dict[str, torch.Tensor]]:
    """Texts of unequal length, padded: the loss of a window is a mean over its tokens, not over its batches."""
    generator = torch.Generator().manual_seed(1)
    samples = []
    for i in range(SAMPLES):
        ids = torch.randint(WORDS, (LENGTH,), generator=generator)
        mask = torch.arange(LENGTH) < 4 + i % 9
        samples.append(
            {"input_ids": ids, "labels": ids.masked_fill(~mask, -100), "attention_mask": mask.long()}
        )
    return samples


def make_trainer(model: nn.Module, folder: Path, **options: Any) -> Trainer:
    data = {name: options.pop(name) for name in ("callbacks", "eval_dataset") if name in options}
    arguments = TrainingArguments(str(folder), gradient_accumulation_steps=N, **(SETTINGS | options))
    return Trainer(model, arguments, train_dataset=make_samples(), **data)


def batches() -> list[dict[str, torch.Tensor]]:
    samples = make_samples()
    return [
        {name: torch.stack([s[name] for s in samples[i : i + 3]]) for name in samples[0]}
        for i in range(0, SAMPLES, 3)
    ]


def by_hand(folder: Path) -> Path | None:
    """The sum over the tokens of a window, divided by their number; clipped to norm 1."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    windows = [batches()[i : i + N] for i in range(0, SAMPLES // 3, N)]
    counts = [sum(int((b["labels"][:, 1:] != -100).sum()) for b in window) for window in windows]
    with gradviz.watch(model, optimizer, run_dir=folder) as recorder:
        for i, batch in enumerate(batches()):
            logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
            loss = nn.functional.cross_entropy(
                logits.reshape(-1, WORDS), batch["labels"][:, 1:].reshape(-1), reduction="sum"
            )
            (loss / counts[i // N]).backward()
            if ends(i):
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                model.zero_grad()
    return recorder.run_path


def test_plain_watch(tmp_path: Path) -> None:
    model = make_model()
    trainer = make_trainer(model, tmp_path)
    with gradviz.watch(model, run_dir=tmp_path) as recorder:
        trainer.train()
    assert story(recorder.run_path) == CLEARED_AFTERWARDS
    assert_same_run(recorder.run_path, by_hand(tmp_path))


def test_the_callback_records_the_same(tmp_path: Path) -> None:
    callback = GradvizCallback(run_dir=tmp_path)
    model = make_model()
    make_trainer(model, tmp_path, callbacks=[callback]).train()
    path = callback.recorder.run_path
    assert_same_run(path, by_hand(tmp_path))
    assert path is not None
    run = gradviz.open_run(path)
    assert (run.state, run.metadata["accumulation_steps"]) == ("finished", N)
    micro = run.events().query("phase == 'micro_step'")
    assert micro["samples"].tolist() == [3] * 10
    assert micro["tokens"].tolist() == [int(batch["attention_mask"].sum()) for batch in batches()]
    assert micro["epoch"].tolist() == [0] * 4 + [0.4] * 4 + [0.8] * 2
    assert gradviz.diagnose(run) == [], "each window is divided by its own tokens"
    assert not model._forward_pre_hooks


def test_a_second_training_is_a_second_run(tmp_path: Path) -> None:
    callback = GradvizCallback(run_dir=tmp_path)
    trainer = make_trainer(make_model(), tmp_path, callbacks=[callback], max_steps=1)
    trainer.train()
    first = callback.recorder.run_path
    trainer.train()
    assert callback.recorder.run_path != first
    assert story(first) == story(callback.recorder.run_path) == "r0 m0.1 m0.2 m0.3 m0.4 u0.4 r1"


def test_an_evaluation_in_between_leaves_no_trace(tmp_path: Path) -> None:
    callback = GradvizCallback(run_dir=tmp_path)
    evaluation = {"eval_strategy": "steps", "eval_steps": 1, "eval_on_start": True}
    data = {"callbacks": [callback], "eval_dataset": make_samples()[:5]}
    make_trainer(make_model(), tmp_path, **data, **evaluation).train()
    path = callback.recorder.run_path
    assert path is not None
    assert_same_run(path, by_hand(tmp_path))
    micro = gradviz.open_run(path).events().query("phase == 'micro_step'")
    assert micro["samples"].tolist() == [3] * 10


@pytest.mark.filterwarnings("ignore:.*script_method. is deprecated:DeprecationWarning")  # torch's own
def test_a_compiled_model_gets_no_hook_that_breaks_its_graph(tmp_path: Path) -> None:
    torch._dynamo.reset()
    callback, model = GradvizCallback(run_dir=tmp_path), make_model()
    compiled = {"torch_compile": True, "torch_compile_backend": "eager"}
    make_trainer(model, tmp_path, callbacks=[callback], **compiled).train()
    path = callback.recorder.run_path
    assert path is not None
    assert_same_run(path, by_hand(tmp_path))
    assert "samples" not in gradviz.open_run(path).events()


def test_an_exception_closes_the_run_as_crashed(tmp_path: Path) -> None:
    class Failing(Trainer):
        def compute_loss(self, *_: Any, **__: Any) -> Any:
            raise ArithmeticError("diverged")

    model = make_model()
    arguments = make_trainer(model, tmp_path).args
    with pytest.raises(ArithmeticError, match="diverged"), GradvizCallback(run_dir=tmp_path) as callback:
        Failing(model, arguments, train_dataset=make_samples(), callbacks=[callback]).train()
    assert callback.recorder.run_path is not None
    run = gradviz.open_run(callback.recorder.run_path)
    assert (run.state, run.reason) == ("crashed", "ArithmeticError")
    assert not model._forward_pre_hooks

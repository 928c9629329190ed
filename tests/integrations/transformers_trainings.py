"""Trainings with the Trainer of Transformers, and by hand. Loading it takes seconds: only who tests it is to do so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from stories import N, ends
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

import gradviz
from gradviz.integrations.transformers import GradvizCallback as GradvizCallback

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

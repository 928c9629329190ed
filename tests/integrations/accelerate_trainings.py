"""Trainings with Accelerate, and by hand. Loading Accelerate takes seconds: only who tests it is to do so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from stories import N, ends, make_loader, make_model
from torch import nn

import gradviz
from gradviz.integrations.accelerate import GradvizTracker as GradvizTracker

F = nn.functional


def by_hand(folder: Path) -> Path | None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, optimizer, run_dir=folder) as recorder:
        for i, (inputs, labels) in enumerate(make_loader()):
            (F.cross_entropy(model(inputs), labels) / N).backward()
            if ends(i):
                optimizer.step()
                optimizer.zero_grad()
    return recorder.run_path


def accelerator(**options: Any) -> Accelerator:
    return Accelerator(cpu=True, gradient_accumulation_steps=N, **options)


def train(one: Accelerator, model: Any, optimizer: Any, loader: Any, *, zero_first: bool = False) -> None:
    for inputs, labels in loader:
        with one.accumulate(model):
            if zero_first:
                optimizer.zero_grad()
            one.backward(F.cross_entropy(model(inputs), labels))
            optimizer.step()
            if not zero_first:
                optimizer.zero_grad()


def made() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = make_model()
    return model, torch.optim.SGD(model.parameters(), lr=0.1)

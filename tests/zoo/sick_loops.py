"""Loops with the faults that people make, as they write them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from tests.zoo.loops import CLASSES, adamw, endless, epoch, mlp, sgd, teacher_data, train, watched, windows

N = 4


def never_reset(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model, 0.02)
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 12):
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / N).backward()
            optimizer.step()


def half_reset(folder: Path) -> None:
    """Only the head's optimizer is cleared."""
    model = mlp()
    body, head = sgd(model[:4], 0.02), sgd(model[4], 0.02)
    with watched(folder, model, [body, head], n=N):
        for window in windows(endless(teacher_data(), 16), N, 12):
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / N).backward()
            body.step()
            head.step()
            head.zero_grad()


def head_added_later(folder: Path) -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU())
    optimizer = sgd(model)
    model.append(nn.Linear(32, CLASSES))
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 20):
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / N).backward()
            optimizer.step()
            optimizer.zero_grad()


def reset_in_the_micro_loop(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 20):
            for inputs, labels in window:
                optimizer.zero_grad()
                (F.cross_entropy(model(inputs), labels) / N).backward()
            optimizer.step()


def reset_before_step(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 20):
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / N).backward()
            optimizer.zero_grad()
            optimizer.step()


def step_in_the_micro_loop(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=N):
        for inputs, labels in epoch(teacher_data(1024), 16):
            (F.cross_entropy(model(inputs), labels) / N).backward()
            optimizer.step()
            optimizer.zero_grad()


def same_batch_again(folder: Path) -> None:
    data = teacher_data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), batch_size=16)
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=N):
        for _ in range(12):
            for _ in range(N):
                inputs, labels = next(iter(loader))
                (F.cross_entropy(model(inputs), labels) / N).backward()
            optimizer.step()
            optimizer.zero_grad()


def scheduler_in_the_micro_loop(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    optimizer.step()  # nothing yet; else torch warns that the scheduler comes first
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 20):
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / N).backward()
                if inputs is window[-1][0]:
                    optimizer.step()
                    optimizer.zero_grad()
                scheduler.step()


def _epochs(folder: Path, *, last_step: bool, reset_first: bool) -> None:
    """Six epochs of 22 micro-batches with windows of 4: two are left over."""
    data = teacher_data(22 * 16)
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=N):
        for _ in range(6):
            if reset_first:
                optimizer.zero_grad()
            batches = epoch(data, 16)
            for i, (inputs, labels) in enumerate(batches):
                (F.cross_entropy(model(inputs), labels) / N).backward()
                if (i + 1) % N == 0 or (last_step and i + 1 == len(batches)):
                    optimizer.step()
                    optimizer.zero_grad()


def tail_divided_by_n(folder: Path) -> None:
    _epochs(folder, last_step=True, reset_first=False)


def tail_runs_over(folder: Path) -> None:
    _epochs(folder, last_step=False, reset_first=False)


def tail_thrown_away(folder: Path) -> None:
    _epochs(folder, last_step=False, reset_first=True)


def clip_in_the_micro_loop(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 20):
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / N).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 0.05)
            optimizer.step()
            optimizer.zero_grad()


def loss_summed_and_clipped(folder: Path) -> None:
    """Not divided; clipped now and then, which is what makes it more than a learning rate."""
    model = mlp()
    optimizer = adamw(model)
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 40):
            for inputs, labels in window:
                F.cross_entropy(model(inputs), labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.9)
            optimizer.step()
            optimizer.zero_grad()


def loss_summed(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model, 0.02)
    with watched(folder, model, optimizer, n=N):
        for window in windows(endless(teacher_data(), 16), N, 20):
            for inputs, labels in window:
                F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            optimizer.zero_grad()


def mean_of_unequal_lengths(folder: Path) -> None:
    """Sequences of 2 to 40 tokens, each micro-batch's mean taken over its own."""
    model = nn.Sequential(nn.Embedding(20, 24), nn.Linear(24, 20))
    optimizer = adamw(model)
    with watched(folder, model, optimizer, n=N):
        for _ in range(24):
            for _ in range(N):
                tokens = torch.randint(20, (4, int(torch.randint(2, 40, ()))))
                scores = model(tokens).flatten(0, 1)
                (F.cross_entropy(scores, tokens.flatten().add(1).remainder(20)) / N).backward()
            optimizer.step()
            optimizer.zero_grad()


def clip_before_unscale(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**13)
    with watched(folder, model, optimizer, n=N, scaler=scaler):
        for window in windows(endless(teacher_data(), 16), N, 24):
            for inputs, labels in window:
                scaler.scale(F.cross_entropy(model(inputs), labels) / N).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def scale_set_in_the_micro_loop(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with watched(folder, model, optimizer, n=N, scaler=scaler):
        for window in windows(endless(teacher_data(), 16), N, 10):
            for k, (inputs, labels) in enumerate(window):
                scaler.scale(F.cross_entropy(model(inputs), labels) / N).backward()
                scaler.update(1024.0 * 2 ** (k % 2))
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def overflows(folder: Path) -> None:
    """A scale that grows too eagerly: it overflows again and again."""
    model = mlp()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)
    with watched(folder, model, optimizer, n=2, scaler=scaler):
        for window in windows(endless(teacher_data(), 16), 2, 160):
            for inputs, labels in window:
                with torch.autocast("cpu", dtype=torch.float16):
                    loss = F.cross_entropy(model(inputs), labels) / 2
                scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def clips_nearly_always(folder: Path) -> None:
    model = mlp()
    train(folder, model, sgd(model), windows(endless(teacher_data(), 16), N, 40),
          before_update=lambda: nn.utils.clip_grad_norm_(model.parameters(), 0.05))  # fmt: skip

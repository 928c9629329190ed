"""More healthy trainings: mixed precision, several optimizers, converged ones, closures, adapters."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.healthy import TRAININGS, batches, healthy
from tests.zoo.healthy_models import Adapter
from tests.zoo.loops import CLASSES, FEATURES, adamw, endless, mlp, sgd, teacher_data, train, watched, windows

__all__ = ["TRAININGS"]


def _scaled(folder: Path, clip: float | None) -> None:
    model = mlp()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
    with watched(folder, model, optimizer, n=4, scaler=scaler):
        for window in batches(4, 60):
            for inputs, labels in window:
                scaler.scale(F.cross_entropy(model(inputs), labels) / 4).backward()
            if clip is not None:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


@healthy
def grad_scaler(folder: Path) -> None:
    _scaled(folder, None)


@healthy
def grad_scaler_with_clipping(folder: Path) -> None:
    _scaled(folder, 0.8)


@healthy
def grad_scaler_that_overflows_at_first(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
    with watched(folder, model, optimizer, n=4, scaler=scaler):
        for window in batches(4, 40):
            for inputs, labels in window:
                with torch.autocast("cpu", dtype=torch.float16):
                    loss = F.cross_entropy(model(inputs), labels) / 4
                scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


@healthy
def bf16_autocast(folder: Path) -> None:
    model = mlp()
    optimizer = adamw(model)
    with watched(folder, model, optimizer, n=4):
        for window in batches(4, 40):
            for inputs, labels in window:
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = F.cross_entropy(model(inputs), labels) / 4
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()


@healthy
def bf16_weights_that_move(folder: Path) -> None:
    model = mlp().bfloat16()
    inputs, labels = teacher_data()
    train(folder, model, sgd(model, 0.3), windows(endless((inputs.bfloat16(), labels), 16), 4, 40))


@healthy
def converged(folder: Path) -> None:
    """Learns 64 points by heart, and goes on for a while."""
    model = mlp(64)
    train(folder, model, adamw(model, 5e-3), windows(endless(teacher_data(64), 8), 4, 120))


@healthy
def converged_regression(folder: Path) -> None:
    """Full batches of exact targets: gradients fall by many orders of magnitude."""
    model = nn.Linear(FEATURES, 1)
    inputs = torch.randn(512, FEATURES)
    data = inputs, inputs @ torch.randn(FEATURES)

    def squared(scores: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(scores.squeeze(-1), targets)

    train(folder, model, sgd(model, 0.1), windows(endless(data, 32), 4, 120), loss_of=squared)


@healthy
def whole_data_set_in_each_window(folder: Path) -> None:
    """Full-batch descent: near the end the micro-gradients of a window cancel, as they must."""
    model, data = mlp(16, 1), teacher_data(128, noise=2.0)
    train(folder, model, sgd(model, 0.5), windows(endless(data, 32), 4, 150))


@healthy
def adam_with_coupled_decay(folder: Path) -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-2)
    train(folder, model, optimizer, batches(4, 40))


@healthy
def loss_summed_under_sgd(folder: Path) -> None:
    """The sum over the window, with a learning rate chosen for it: as legal as the mean."""
    model = mlp()
    optimizer = sgd(model, 0.025)
    with watched(folder, model, optimizer, n=4):
        for window in batches(4, 40):
            for inputs, labels in window:
                F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            optimizer.zero_grad()


@healthy
def gradients_kept_as_zeros(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=4):
        for window in batches(4, 40):
            optimizer.zero_grad(set_to_none=False)
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / 4).backward()
            optimizer.step()


@healthy
def two_optimizers(folder: Path) -> None:
    model = mlp()
    body, head = adamw(model[:4]), sgd(model[4])
    with watched(folder, model, [body, head], n=4):
        for window in batches(4, 40):
            for inputs, labels in window:
                (F.cross_entropy(model(inputs), labels) / 4).backward()
            for optimizer in (body, head):
                optimizer.step()
                optimizer.zero_grad()


@healthy
def adversaries(folder: Path) -> None:
    """A small GAN: each side's backward also reaches the other, which is cleared before its own turn."""
    maker = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 2))
    judge = nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(0.2), nn.Linear(24, 1))
    makes, judges = adamw(maker, 1e-3), adamw(judge, 1e-3)
    with watched(folder, nn.ModuleDict({"maker": maker, "judge": judge}), [makes, judges], n=2):
        for _ in range(30):
            judges.zero_grad()
            for _ in range(2):
                real, fake = torch.randn(16, 2) + 1, maker(torch.randn(16, 4)).detach()
                (_judged(judge(real), 1.0) / 4 + _judged(judge(fake), 0.0) / 4).backward()
            judges.step()
            makes.zero_grad()
            for _ in range(2):
                (_judged(judge(maker(torch.randn(16, 4))), 1.0) / 2).backward()
            makes.step()


def _judged(scores: Tensor, verdict: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, verdict))


@healthy
def closure(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=4):
        for window in batches(4, 30):

            def accumulate(window: list[tuple[Tensor, Tensor]] = window) -> Tensor:
                optimizer.zero_grad()
                total = torch.zeros(())
                for inputs, labels in window:
                    loss = F.cross_entropy(model(inputs), labels) / 4
                    loss.backward()
                    total += loss.detach()
                return total

            optimizer.step(accumulate)  # type: ignore[arg-type]


@healthy
def adapters(folder: Path) -> None:
    """LoRA on a frozen network: the additions begin at zero, and so does the gradient of their other half."""
    model = mlp()
    for place in (0, 2):
        model[place] = Adapter(model[place])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-3)
    train(folder, model, optimizer, batches(4, 40))


@healthy
def autoencoder(folder: Path) -> None:
    model = nn.Sequential(
        nn.Linear(FEATURES, 24), nn.Tanh(), nn.Linear(24, 4), nn.Tanh(), nn.Linear(4, FEATURES)
    )
    inputs = torch.randn(1024, 4) @ torch.randn(4, FEATURES) / 2
    train(
        folder, model, adamw(model, 5e-3), windows(endless((inputs, inputs), 16), 4, 60), loss_of=F.mse_loss
    )


@healthy
def multi_label(folder: Path) -> None:
    model = mlp()
    inputs = torch.randn(1024, FEATURES)
    labels = (inputs @ torch.randn(FEATURES, CLASSES) > 0).float()
    train(
        folder, model, adamw(model), windows(endless((inputs, labels), 16), 4, 50),
        loss_of=F.binary_cross_entropy_with_logits,
    )  # fmt: skip

"""Recorders beside each other: each is called after every backward, and keeps what it records.

`attach(model, folder)` returns a `Recording`. Libraries are imported there: each runs in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


def _nothing() -> None:
    pass


@dataclass
class Recording:
    """A recorder at work: `after` each backward, `close` at the end.

    `values` counts what was recorded of single tensors at single moments; asked after `close`.
    """

    after: Callable[[], None] = _nothing
    close: Callable[[], None] = _nothing
    values: Callable[[], int] = int


@dataclass(frozen=True)
class Adapter:
    """A recorder by name; `cycle` windows differ from one another."""

    name: str
    attach: Callable[[nn.Module, Path], Recording]
    cycle: int = 1


class Steps:
    """Counts micro-steps, and the tensors that were recorded at each."""

    def __init__(self, model: nn.Module) -> None:
        self.count, self._tensors = 0, len(list(model.parameters()))

    def next(self) -> int:
        self.count += 1
        return self.count

    def values(self) -> int:
        return self.count * self._tensors


def nothing(_model: nn.Module, _folder: Path) -> Recording:
    return Recording()


def means(model: nn.Module) -> dict[str, float]:
    """Mean |grad| of every parameter: what the snippets log."""
    return {
        name: parameter.grad.abs().mean().item()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def naive(model: nn.Module, _folder: Path) -> Recording:
    """The snippet that everyone copies: mean |grad| of each weight, biases left out, kept in a list."""
    kept: list[list[float]] = []

    def after() -> None:
        kept.append(
            [
                parameter.grad.abs().mean().item()
                for name, parameter in model.named_parameters()
                if "bias" not in name and parameter.grad is not None
            ]
        )

    return Recording(after)


def foreach(model: nn.Module, _folder: Path) -> Recording:
    """L1 and L2 norms of all gradients, fused as far as torch does it, with one transfer; kept in a list."""
    kept: list[list[list[float]]] = []

    def after() -> None:
        grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norms = [torch.stack(torch._foreach_norm(grads, order)) for order in (1, 2)]
        kept.append(torch.stack(norms).tolist())

    return Recording(after)


def tensorboard_scalars(model: nn.Module, folder: Path) -> Recording:
    from torch.utils.tensorboard import SummaryWriter

    writer, steps = SummaryWriter(str(folder)), Steps(model)

    def after() -> None:
        number = steps.next()
        for name, mean in means(model).items():
            writer.add_scalar(name, mean, number)

    return Recording(after, writer.close, steps.values)


def tensorboard_histograms(model: nn.Module, folder: Path) -> Recording:
    from torch.utils.tensorboard import SummaryWriter

    writer, steps = SummaryWriter(str(folder)), Steps(model)

    def after() -> None:
        number = steps.next()
        for name, parameter in model.named_parameters():
            writer.add_histogram(name, parameter.grad, number)

    return Recording(after, writer.close, steps.values)


def wandb_watch(model: nn.Module, folder: Path) -> Recording:
    """`wandb.watch` of gradients at every backward, offline: no network and no account."""
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_ERROR_REPORTING="false")
    import wandb

    settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, console="off", disable_git=True)
    run = wandb.init(project="overhead", dir=str(folder), settings=settings)
    run.watch(model, log="gradients", log_freq=1)
    steps = Steps(model)

    def close() -> None:
        run.unwatch(model)
        run.finish()

    return Recording(lambda: run.log({"micro_step": steps.next()}), close, steps.values)


def lightning(model: nn.Module, folder: Path) -> Recording:
    """Lightning's `grad_norm`, L2 of every parameter, logged to its CSV logger."""
    from lightning.pytorch.loggers import CSVLogger
    from lightning.pytorch.utilities import grad_norm

    logger, steps = CSVLogger(str(folder)), Steps(model)

    def after() -> None:
        logger.log_metrics(grad_norm(model, norm_type=2), steps.next())

    return Recording(after, logger.save, steps.values)


def trackio(model: nn.Module, folder: Path) -> Recording:
    """trackio into its local database: no Space, no server."""
    os.environ.update(TRACKIO_DIR=str(folder), HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    with redirect_stdout(None):
        import trackio as library

        library.init(project=folder.name, embed=False, auto_log_cpu=False, auto_log_gpu=False)
    steps = Steps(model)

    def after() -> None:
        library.log(means(model), step=steps.next())

    def close() -> None:
        with redirect_stdout(None):
            library.finish()

    return Recording(after, close, steps.values)


def ours(**options: Any) -> Callable[[nn.Module, Path], Recording]:
    def attach(model: nn.Module, folder: Path) -> Recording:
        import gradviz

        recorder = gradviz.watch(model, run_dir=folder, strict=True, **options)
        path = recorder.run_path
        assert path is not None
        return Recording(close=recorder.close, values=lambda: statistics_in(path))

    return attach


def statistics_in(run: Path) -> int:
    """Numbers in a run that are not null."""
    import pyarrow.parquet as pq

    from gradviz.store.columns import STATISTICS

    parts = [pq.read_table(path, columns=list(STATISTICS)) for path in (run / "gradients").rglob("part-*")]
    return sum(part.num_rows - column.null_count for part in parts for column in part.columns)


NOTHING = Adapter("nothing again (the noise)", nothing)
ADAPTERS = {
    adapter.name: adapter
    for adapter in (
        NOTHING,
        Adapter("naive snippet: mean of the weights", naive),
        Adapter("foreach L1 and L2, one transfer (a floor)", foreach),
        Adapter("Lightning `grad_norm`: L2, CSV", lightning),
        Adapter("trackio, local: mean", trackio),
        Adapter("TensorBoard scalars: mean", tensorboard_scalars),
        Adapter("TensorBoard histograms", tensorboard_histograms),
        Adapter("`wandb.watch`, offline: histograms", wandb_watch),
        Adapter("**gradviz: everything, gₖ and Gₖ**", ours()),
        Adapter("gradviz, `micro=False`: Gₖ alone", ours(micro=False)),
        Adapter("gradviz, `every=10`", ours(every=10), cycle=10),
        Adapter("gradviz, `distributions=True`", ours(distributions=True)),
    )
}

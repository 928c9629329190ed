"""What recording costs: `python benchmarks/overhead.py [--rounds 15] [--quick]`.

Every recorder trains the same model beside the bare loop, in one process, interleaved window by
window; each number is the median of the paired ratios. "nothing again" is the bare loop against
itself: the noise. Absolute times of a shared machine mean nothing and are not printed.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

import gradviz
from gradviz.recording.statistics import load_kernels

N = 4
AfterBackward = Callable[[nn.Module], None]


@dataclass
class Workload:
    """A model, its loss and how many windows make one timed stretch."""

    name: str
    make: Callable[[], tuple[nn.Module, Callable[[nn.Module], Tensor]]]
    windows: int


def mlp() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
        nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    images, labels = torch.randn(64, 784), torch.randint(10, (64,))
    return model, lambda m: F.cross_entropy(m(images), labels)


def transformer() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    width, length = 384, 128

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5000, width)
            block = nn.TransformerEncoderLayer(
                width, 6, 4 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            self.blocks = nn.TransformerEncoder(block, 6, enable_nested_tensor=False)
            self.head = nn.Linear(width, 5000, bias=False)

        def forward(self, codes: Tensor) -> Tensor:
            scores: Tensor = self.head(self.blocks(self.table(codes)))
            return scores

    codes = torch.randint(5000, (4, length))
    return Model(), lambda m: F.cross_entropy(m(codes).flatten(0, 1), codes.flatten())


class ReadyGradients(torch.autograd.Function):
    """Hands out ready-made gradients: no model compute, so that the recorder's own cost stands alone."""

    @staticmethod
    def forward(ctx: object, ready: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.ready = ready  # type: ignore[attr-defined]
        return parameters[0].new_zeros(())

    @staticmethod
    def backward(ctx: object, _gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *ctx.ready)  # type: ignore[attr-defined]


def gradients_only() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    model, _ = transformer()
    parameters = list(model.parameters())
    ready = [torch.randn_like(parameter) for parameter in parameters]
    return model, lambda _: ReadyGradients.apply(ready, *parameters)


WORKLOADS = {
    "MLP": Workload("MLP", mlp, windows=8),
    "transformer": Workload("transformer", transformer, windows=1),
    "gradients only": Workload("gradients only", gradients_only, windows=2),
}


@contextmanager
def nothing(_model: nn.Module, _folder: Path) -> Iterator[AfterBackward]:
    yield lambda _: None


@contextmanager
def naive(_model: nn.Module, _folder: Path) -> Iterator[AfterBackward]:
    """The snippet that everyone copies: mean |grad| of each weight, biases left out, kept in a list."""
    kept: list[list[float]] = []

    def after(model: nn.Module) -> None:
        kept.append(
            [
                parameter.grad.abs().mean().item()
                for name, parameter in model.named_parameters()
                if "bias" not in name and parameter.grad is not None
            ]
        )

    yield after


@contextmanager
def tensorboard(_model: nn.Module, folder: Path) -> Iterator[AfterBackward]:
    """`add_scalar` of mean |grad| of every parameter."""
    writer, count = SummaryWriter(str(folder)), 0

    def after(model: nn.Module) -> None:
        nonlocal count
        count += 1
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                writer.add_scalar(name, parameter.grad.abs().mean().item(), count)

    yield after
    writer.close()


@contextmanager
def ours(model: nn.Module, folder: Path, every: int = 1) -> Iterator[AfterBackward]:
    with gradviz.watch(model, run_dir=folder, every=every, strict=True):
        yield lambda _: None


@contextmanager
def ours_every_10(model: nn.Module, folder: Path) -> Iterator[AfterBackward]:
    with ours(model, folder, every=10) as after:
        yield after


RECORDERS = {
    "nothing again (the noise)": nothing,
    "naive snippet: mean of the weights": naive,
    "TensorBoard scalars: mean of all": tensorboard,
    "gradviz: everything": ours,
    "gradviz: everything, every=10": ours_every_10,
}


class Training:
    """One model in training with one recorder attached all the while."""

    def __init__(self, workload: Workload, recorder: Callable[..., object], folder: Path) -> None:
        torch.manual_seed(0)
        self.model, self.loss_of = workload.make()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.windows = workload.windows
        self.context = recorder(self.model, folder)
        self.after = self.context.__enter__()  # type: ignore[attr-defined]

    def stretch(self) -> tuple[float, float]:
        """Wall and CPU seconds (all threads) of a stretch of windows."""
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(self.windows):
            for _ in range(N):
                (self.loss_of(self.model) / N).backward()
                self.after(self.model)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return time.perf_counter() - wall, time.process_time() - cpu


def ratios(workload: Workload, rounds: int, folder: Path) -> dict[str, tuple[float, float, float]]:
    """Median ratio to the bare loop, its spread (half the interquartile range) and the CPU ratio."""
    bare = Training(workload, nothing, folder)
    trainings = {name: Training(workload, make, folder) for name, make in RECORDERS.items()}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in trainings}
    for number in range(rounds + 2):
        for name, training in trainings.items():
            # the bare loop runs right before or right after, in turn: drifts of the machine cancel
            pair = (bare, training) if number % 2 else (training, bare)
            first, second = (one.stretch() for one in pair)
            (wall, cpu), (bare_wall, bare_cpu) = (second, first) if number % 2 else (first, second)
            if number >= 2:  # the first rounds warm caches and compile
                measured[name].append((wall / bare_wall, cpu / bare_cpu))
    for training in trainings.values():
        training.context.__exit__(None, None, None)  # type: ignore[attr-defined]
    return {name: _summary(pairs) for name, pairs in measured.items()}


def _summary(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    walls = [wall for wall, _ in pairs]
    low, _, high = statistics.quantiles(walls, n=4)
    return statistics.median(walls), (high - low) / 2, statistics.median(cpu for _, cpu in pairs)


def memory(recorder: Callable[..., object], folder: Path) -> float:
    """MB that resident memory grows at most while training the transformer, after the first window."""
    training = Training(WORKLOADS["transformer"], recorder, folder)
    training.stretch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        training.stretch()
    training.context.__exit__(None, None, None)  # type: ignore[attr-defined]
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def libraries() -> float:
    """MB that a process with torch grows by once it has recorded anything: numba, pyarrow, pandas."""
    script = """
import tempfile, torch
def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096 / 1e6
model = torch.nn.Linear(2, 2)
model(torch.ones(1, 2)).sum().backward()
before = resident()
import gradviz
with gradviz.watch(model, run_dir=tempfile.mkdtemp()):
    model(torch.ones(1, 2)).sum().backward()
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(done.stdout)


def passes() -> tuple[float, float]:
    """One pass of the kernel over 17 M gradients, relative to one read (a sum) and to `.abs().mean().item()`."""
    import numpy as np

    x, out = torch.randn(17_000_000), np.zeros((1, 5))
    kernel = load_kernels().single.get(torch.float32)
    if kernel is None:
        return float("nan"), float("nan")

    def seconds(action: Callable[[], object]) -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    rows = [
        (
            seconds(lambda: kernel(x.data_ptr(), x.numel(), out, 0, False)),
            seconds(x.sum),
            seconds(lambda: x.abs().mean().item()),
        )
        for _ in range(20)
    ]
    return (
        statistics.median(kernel_time / read for kernel_time, read, _ in rows),
        statistics.median(kernel_time / naive_time for kernel_time, _, naive_time in rows),
    )


def main() -> None:
    """Print the tables that the README quotes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=25, help="pairs; the transformer takes a quarter of them"
    )
    parser.add_argument("--only", choices=list(WORKLOADS), action="append")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(
            f"ratio to the bare loop, median of {options.rounds} pairs (+- half the interquartile range) | CPU"
        )
        for name in options.only or WORKLOADS:
            rounds = max(5, options.rounds // 4) if name == "transformer" else options.rounds
            model, _ = WORKLOADS[name].make()
            tensors = list(model.parameters())
            print(
                f"\n{name}: {len(tensors)} tensors, {sum(p.numel() for p in tensors) / 1e6:.2f} M parameters, n = {N}"
            )
            for recorder, (wall, spread, cpu) in ratios(WORKLOADS[name], rounds, folder).items():
                print(f"  {recorder:<36} x{wall:.3f} +-{spread:.3f} | x{cpu:.3f}")
        read, naive_ratio = passes()
        print(
            f"\none pass over 17 M gradients: {read:.2f} of one read, {naive_ratio:.2f} of .abs().mean().item()"
        )
        print(f"resident memory of the transformer in training: bare +{memory(nothing, folder):.0f} MB, "
              f"then with gradviz +{memory(ours, folder):.0f} MB (one copy of the gradients: 56 MB)")  # fmt: skip
        print(f"the libraries that recording loads: +{libraries():.0f} MB, once")


if __name__ == "__main__":
    main()

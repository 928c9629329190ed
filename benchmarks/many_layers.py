"""What a model of very many small parameters costs: `python benchmarks/many_layers.py [--parameters N] [--windows N]`.

CPU time of the thread that trains, in microseconds a parameter: a micro-step (forward and backward) and an
update, without and with the recorder; then seconds of `watch` itself and of `diagnose`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

import gradviz

K = 4
WIDTH = 4


class Many(nn.Module):
    """Blocks of ten small layers, one after the other: a weight and a bias each."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        blocks = parameters // 20
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(10)) for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            for layer in block:  # type: ignore[attr-defined]  # a ModuleList
                x = x + 0.01 * layer(x)
        return x


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU time of this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def train(model: nn.Module, optimizer: torch.optim.Optimizer, windows: int) -> tuple[float, float]:
    """Median CPU seconds of a micro-step and of an update."""
    micro_steps, updates = [], []
    for _ in range(windows):
        for _ in range(K):
            x = torch.randn(8, WIDTH)
            micro_steps.append(cpu(lambda x=x: (model(x).square().mean() / K).backward()))  # type: ignore[misc]
        updates.append(cpu(optimizer.step))
        optimizer.zero_grad()
    return median(micro_steps), median(updates)


def main() -> None:
    """Train without, then with the recorder, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=20_000)
    parser.add_argument("--windows", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Many(asked.parameters)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    train(model, optimizer, 1)
    plain = train(model, optimizer, asked.windows)
    with tempfile.TemporaryDirectory() as folder:
        began = time.thread_time()
        recorder = gradviz.watch(model, optimizer, run_dir=folder, accumulation_steps=K, strict=True)
        watching = time.thread_time() - began
        first = train(model, optimizer, 1)
        recorded = train(model, optimizer, asked.windows)
        recorder.close()
        run = gradviz.open_run(str(recorder.run_path))
        checking = cpu(lambda: gradviz.diagnose(run))
        ended = f"state {run.state.value}, {run.dropped} dropped"
    each = 1e6 / asked.parameters
    sys.stdout.write(
        f"{asked.parameters:,} parameters, CPU time: watch {watching:.1f} s; "
        f"a micro-step {each * plain[0]:.0f} us a parameter, "
        f"recorded {each * recorded[0]:.0f} (the first {each * first[0]:.0f}); "
        f"an update {each * plain[1]:.1f}, recorded {each * recorded[1]:.1f} (the first {each * first[1]:.1f}); "
        f"{ended}; diagnose {checking:.1f} s\n"
    )


if __name__ == "__main__":
    main()

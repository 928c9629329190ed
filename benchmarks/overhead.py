"""What recording costs, beside other recorders, as the README's tables.

    python benchmarks/overhead.py [--rounds 4] [--only MLP]

Each recorder trains the same model as the bare loop does, torch on one thread, both in processes of their
own and in short stretches by turns; a ratio is the median over the pairs of stretches, with half the
interquartile range. "nothing again" is the bare loop against itself: the noise. CPU is that of all threads
and helper processes. Absolute times of a shared machine mean nothing and are not printed. Every recorder
records at every micro-step. Needs the `test` extra; no network and no account.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from adapters import ADAPTERS, NOTHING, Adapter
from measuring import Outcome, Place, Series, session
from passes import passes
from workloads import WORKLOADS, N, Training, Workload

Results = dict[str, tuple[Series, Outcome]]  # by recorder


def measure(workload: Workload, adapters: list[Adapter], rounds: int, folder: Path) -> Results:
    """Pairs of every recorder, round by round."""
    with ExitStack() as stack:
        places = [
            Place(workload, adapter, folder / str(number))
            for number, adapter in enumerate([NOTHING, *adapters])
        ]
        for place in places:
            stack.callback(place.kill)
        for place in places:
            place.ready()
        bare, *others = places
        series = [Series() for _ in others]
        for _ in range(rounds):
            for place, one in zip(others, series, strict=True):
                session(bare, place, workload.windows, workload.seconds, one)
        outcomes = [place.finish() for place in places][1:]
    return {
        adapter.name: (one, outcome) for adapter, one, outcome in zip(adapters, series, outcomes, strict=True)
    }


def ratio(adapter: Adapter, workload: Workload, series: Series) -> str:
    """Time and CPU, relative to the bare loop."""
    walls = [one / bare for bare, one in series.pairs]
    low, _, high = statistics.quantiles(walls, n=4) if len(walls) > 1 else (walls[0],) * 3
    # where a stretch is shorter than a recorder's cycle its median would be that of the windows left out
    middle = statistics.median if adapter.cycle <= workload.windows else statistics.mean
    cpu = sum(one for _, one in series.cpu) / sum(bare for bare, _ in series.cpu)
    return f"{middle(walls):.2f} ± {(high - low) / 2:.2f}, {cpu:.2f}"


def print_costs(measured: dict[str, Results], adapters: list[Adapter]) -> None:
    """Time, CPU and bytes, by recorder and workload."""
    print_row("recorder at every micro-step", *(f"{name}: time, CPU" for name in measured), "bytes a value")
    print("|---" * (2 + len(measured)) + "|")
    for adapter in adapters:
        cells = [
            ratio(adapter, WORKLOADS[name], results[adapter.name][0]) for name, results in measured.items()
        ]
        _, first = next(iter(measured.values()))[adapter.name]
        print_row(adapter.name, *cells, f"{first.size / first.values:,.1f}" if first.values else "")


def print_memory(results: Results) -> None:
    """MB beyond what the bare loop takes."""
    print_row("MB beyond the bare loop", "libraries, once", "resident in training", "peak in training")
    print("|---" * 4 + "|")
    _, bare = results[NOTHING.name]
    for name, (_, outcome) in results.items():
        print_row(
            name,
            f"{outcome.libraries - bare.libraries:.0f}",
            f"{outcome.resident - bare.resident:.0f}",
            f"{outcome.peak - bare.peak:.0f}",
        )


def print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def described(workload: Workload) -> str:
    """How large it is."""
    tensors = [parameter.numel() for parameter in Training(workload).model.parameters()]
    return f"{workload.name}: {len(tensors)} tensors, {sum(tensors) / 1e6:.2f} M parameters, n = {N}"


def each(names: list[str] | None, act: Callable[[str], Results]) -> dict[str, Results]:
    """`act` on each workload, told as it goes."""
    measured = {}
    for name in names or list(WORKLOADS):
        print(described(WORKLOADS[name]), flush=True)
        measured[name] = act(name)
    return measured


def main() -> None:
    """Print the tables that the README quotes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--only", choices=list(WORKLOADS), action="append", help="a workload; may be repeated"
    )
    parser.add_argument("--recorder", action="append", default=[], help="part of a name; may be repeated")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["WANDB_MODE"] = "offline"
    adapters = [
        adapter
        for adapter in ADAPTERS.values()
        if adapter is NOTHING
        or not options.recorder
        or any(part in adapter.name for part in options.recorder)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        measured = each(
            options.only,
            lambda name: measure(WORKLOADS[name], adapters, options.rounds, Path(scratch) / name),
        )
    print()
    print_costs(measured, adapters)
    for name, results in measured.items():
        print(f"\nMemory, {name}:\n")
        print_memory(results)
    print("\n" + passes())


if __name__ == "__main__":
    main()

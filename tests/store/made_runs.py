"""Runs made for the tests of the store: known numbers, written by the real writer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from gradviz.schema import (
    L1,
    MAX,
    MICRO_L1,
    MICRO_MAX,
    MICRO_NONFINITE,
    MICRO_SQUARES,
    NONFINITE,
    PREVIOUS_SQUARES,
    SQUARES,
    SUMS_WIDTH,
    ZEROS,
    EventRecord,
    Layer,
    Phase,
)
from gradviz.store import RunWriter
from gradviz.store import manifest as manifests
from gradviz.store.files import Disk
from gradviz.store.parts import part_folder
from gradviz.store.rank_folder import RankFolder
from gradviz.store.writer import PART_KINDS

WINDOW = [(0, Phase.RESET), (1, Phase.MICRO_STEP), (2, Phase.MICRO_STEP), (2, Phase.UPDATE)]
NEVER = 3600.0


def make_layers(count: int) -> list[Layer]:
    """Layers `layer_0.weight`, `layer_1.weight`, ... of 100, 101, ... elements."""
    return [
        Layer(i, f"layer_{i}.weight", (100 + i,), 100 + i, "float32", "Linear", True) for i in range(count)
    ]


def make_sums(rng: np.random.Generator, layers: int, phase: Phase) -> np.ndarray:
    """Plausible sums of gradients; a tenth of the layers has none, a twentieth is not finite."""
    sums = rng.lognormal(sigma=2.0, size=(layers, SUMS_WIDTH))
    sums[:, NONFINITE] = 0
    sums[:, ZEROS] = rng.integers(0, 100, layers)
    sums[:, MICRO_NONFINITE] = 0 if phase is Phase.MICRO_STEP else -1
    sums[:, PREVIOUS_SQUARES] = sums[:, SQUARES] - sums[:, MICRO_SQUARES]
    sums[sums[:, PREVIOUS_SQUARES] <= 0, PREVIOUS_SQUARES] = np.nan
    broken = rng.random(layers) < 0.05
    sums[np.ix_(broken, [L1, SQUARES, MAX, MICRO_L1, MICRO_SQUARES, MICRO_MAX])] = np.nan
    sums[broken, NONFINITE] = 3
    missing = rng.random(layers) < 0.1
    sums[np.ix_(missing, [NONFINITE, MICRO_NONFINITE])] = -1
    return sums


def make_events(layers: Sequence[Layer], count: int, *, seed: int = 0, first: int = 0) -> list[EventRecord]:
    """Windows of reset, two micro-steps and an update, with a loss at each micro-step."""
    return list(iterate_events(layers, count, seed=seed, first=first))


def iterate_events(
    layers: Sequence[Layer], count: int, *, seed: int = 0, first: int = 0
) -> Iterator[EventRecord]:
    """The events of `make_events`, one after the other."""
    rng = np.random.default_rng(seed)
    ids = np.array([layer.layer_id for layer in layers], dtype=np.int32)
    numels = np.array([layer.numel for layer in layers], dtype=np.int64)
    for event in range(first, first + count):
        micro_step, phase = WINDOW[event % 4]
        scalars = {"loss": float(event), "tokens": 7} if phase is Phase.MICRO_STEP else {}
        sums = make_sums(rng, len(layers), phase)
        yield EventRecord(event, event // 4, micro_step, phase, event / 8, ids, numels, sums, scalars)


def write_run(parent: Path, layers: Sequence[Layer], batches: Iterable[Sequence[EventRecord]], *,
              final: bool = True, disk: Disk | None = None) -> Path:  # fmt: skip
    """Write batches as parts, merging whenever it is due; `final` merges and seals at the end."""
    folder = new_folder(parent, layers, disk=disk)
    for batch in batches:
        write_batch(folder, batch)
        merge(folder)
    if final:
        merge(folder, final=True)
    folder.write_heartbeat()
    return folder.run


def new_folder(
    parent: Path, layers: Sequence[Layer], *, disk: Disk | None = None, name: str = "run"
) -> RankFolder:
    """An empty run that is written to from this thread."""
    run = parent / name
    for kind in PART_KINDS:
        part_folder(run, kind).mkdir(parents=True)
    manifest = manifests.compose("run", layers)
    Disk().create(run / manifests.FILE_NAME, manifests.encode(manifest))
    return RankFolder(run, 0, manifest, layers, disk=disk or Disk(), durable=False)


def write_batch(folder: RankFolder, batch: Sequence[EventRecord]) -> None:
    """Write one batch whose sums are arrays."""
    folder.write_batch(batch, [np.asarray(record.sums) for record in batch])


def merge(folder: RankFolder, *, final: bool = False) -> None:
    """Merge what is due."""
    for _ in folder.merge(final=final):
        pass


def start_writer(parent: Path, layers: Sequence[Layer], **options: object) -> RunWriter:
    """A writer that flushes only when it is asked or closed, unless told otherwise."""
    settings: dict[str, object] = {"flush_seconds": NEVER, "durable": False, **options}
    return RunWriter.create(parent, "made", layers, **settings)  # type: ignore[arg-type]


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until another thread or process has done its part."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it never happened")
        time.sleep(0.005)


def cut(events: Sequence[EventRecord], lengths: Iterable[int]) -> list[list[EventRecord]]:
    """Cut events into batches of the given lengths; the rest is the last batch."""
    batches, start = [], 0
    for length in lengths:
        if start < len(events):
            batches.append(list(events[start : start + length]))
            start += length
    return [batch for batch in [*batches, list(events[start:])] if batch]

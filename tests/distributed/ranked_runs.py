"""Runs of several ranks for the tests: a known training cut into shards, or copied to replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    STEP_SQUARES,
    SUMS_WIDTH,
    UNCHANGED,
    WEIGHT_SQUARES,
    ZEROS,
    EventRecord,
    Layer,
    Phase,
)  # fmt: skip
from gradviz.store import RunWriter
from gradviz.store.launches import Launch

NEVER = 3600.0
WINDOW = ((0, Phase.RESET), (1, Phase.MICRO_STEP), (2, Phase.MICRO_STEP), (2, Phase.UPDATE))
SHAPES = ((4, 3), (7,), (1, 5), (2, 2, 2))


def layers_of(shapes: Sequence[tuple[int, ...]] = SHAPES) -> list[Layer]:
    """Layers `a`, `b`, ... of the given shapes."""
    return [
        Layer(i, "abcdefgh"[i], shape, int(np.prod(shape)), "float32", "Linear", True)
        for i, shape in enumerate(shapes)
    ]


@dataclass
class Training:
    """Gradients of each layer at each event: `accumulated` [E][P] arrays, and `micro` likewise."""

    layers: list[Layer]
    accumulated: list[list[np.ndarray]]
    micro: list[list[np.ndarray]]

    @classmethod
    def random(cls, updates: int, *, seed: int = 0, layers: list[Layer] | None = None) -> Training:
        """Windows of two micro-steps; some elements are exact zeros."""
        rng = np.random.default_rng(seed)
        layers = layers or layers_of()
        training = cls(layers, [], [])
        for _ in range(updates):
            total = [np.zeros(layer.numel) for layer in layers]
            for _, phase in WINDOW:
                own = [rng.normal(size=layer.numel) * (rng.random(layer.numel) < 0.8) for layer in layers]
                if phase is Phase.MICRO_STEP:
                    total = [before + one for before, one in zip(total, own, strict=True)]
                training.accumulated.append(total)
                training.micro.append(own)
        return training

    @property
    def events(self) -> int:
        return len(self.accumulated)

    def record(self, event: int, cut: Mapping[int, slice], *, number: int | None = None, update: int | None = None,
               scale: float = 1.0) -> EventRecord:  # fmt: skip
        """The event as a rank sees it that holds the slice `cut[layer_id]` of each layer that is sharded."""
        micro_step, phase = WINDOW[event % 4]
        sums = np.full((len(self.layers), SUMS_WIDTH), np.nan)
        numels = []
        for place, layer in enumerate(self.layers):
            part = cut.get(layer.layer_id, slice(None))
            g, own = scale * self.accumulated[event][place][part], scale * self.micro[event][place][part]
            numels.append(len(g))
            sums[place, [L1, SQUARES, MAX, NONFINITE, ZEROS]] = sums_of(g)
            sums[place, MICRO_NONFINITE] = -1
            if phase is Phase.MICRO_STEP:
                sums[place, [MICRO_L1, MICRO_SQUARES, MICRO_MAX, MICRO_NONFINITE]] = sums_of(own)[:4]
                sums[place, PREVIOUS_SQUARES] = ((g - own) ** 2).sum()
            if phase is Phase.UPDATE:
                sums[place, [WEIGHT_SQUARES, STEP_SQUARES]] = (g**2).sum() * 9, (g**2).sum() / 4
                sums[place, UNCHANGED] = np.mean(g > 1) if len(g) else 0.0
        scalars = (
            {"loss": float(event), "loss_elements": 10.0, "lr": 0.1} if phase is Phase.MICRO_STEP else {}
        )
        return EventRecord(
            event if number is None else number, event // 4 if update is None else update, micro_step, phase,
            event / 8, np.arange(len(self.layers), dtype=np.int32), np.array(numels), sums, scalars,
        )  # fmt: skip


def sums_of(x: np.ndarray) -> tuple[float, float, float, int, int]:
    finite = np.isfinite(x)
    return (
        float(np.abs(x).sum()), float((x**2).sum()), float(np.abs(x).max(initial=0.0)), int((~finite).sum()),
        int((x == 0).sum()),
    )  # fmt: skip


def start(parent: Path, layers: Sequence[Layer], rank: int, world_size: int, *, key: str = "k",
          restart: int = 0, shards: Mapping[int, int] | None = None, **options: object) -> RunWriter:  # fmt: skip
    """A writer of one rank that writes when it is closed."""
    launch = Launch(rank, world_size, restart, key, shards or {})
    settings: dict[str, object] = {"flush_seconds": NEVER, "durable": False, **options}
    return RunWriter.create(parent, "made", layers, launch=launch, **settings)  # type: ignore[arg-type]


def cuts(layers: Sequence[Layer], world_size: int) -> list[dict[int, slice]]:
    """Which elements of each layer a rank holds, as FSDP2 cuts: by rows, the last shards smaller or empty."""
    held: list[dict[int, slice]] = [{} for _ in range(world_size)]
    for layer in layers:
        rows = layer.shape[0]
        chunk, row = -(-rows // world_size), layer.numel // rows
        for rank in range(world_size):
            begin, end = min(rank * chunk, rows), min((rank + 1) * chunk, rows)
            held[rank][layer.layer_id] = slice(begin * row, end * row)
    return held


def elements(cut: Mapping[int, slice]) -> dict[int, int]:
    """Elements in each slice."""
    return {layer_id: part.stop - part.start for layer_id, part in cut.items()}


def record_sharded(parent: Path, training: Training, world_size: int, *, skip: Sequence[tuple[int, int]] = ()
                   ) -> Path:  # fmt: skip
    """A run of which every layer is sharded over all ranks; `skip` are (rank, event) that are not recorded."""
    for rank, cut in enumerate(cuts(training.layers, world_size)):
        writer = start(parent, training.layers, rank, world_size, shards=elements(cut))
        for event in range(training.events):
            if (rank, event) not in skip:
                writer.put(training.record(event, cut))
        assert writer.close() == 0
    return writer.path

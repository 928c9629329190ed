"""Makes a long run at once: sealed segments, through the store's own part writers, in bounded memory.

    python benchmarks/big_run.py FOLDER [--rows 100000000] [--layers 250] [--seed 0]

A transformer trained with windows of four micro-steps: the norm of each layer's gradient follows a random walk,
the micro-gradients of a window agree somewhat, the loss falls, the learning rate warms up and decays, and an
update is far too long now and then. Every number follows from the seed and from the place in the run, but a run
of another length has another learning rate. Prints rows a second and bytes a row.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from store import new_folder

from gradviz.schema import Layer, Phase, RunState
from gradviz.store.batches import LayerNames
from gradviz.store.columns import INDEX_COLUMNS, STATISTICS, event_schema, gradient_schema
from gradviz.store.files import Disk
from gradviz.store.heartbeat import Heartbeat
from gradviz.store.merging import ROW_GROUP_ROWS, cut_points
from gradviz.store.overview import combine, roll_up
from gradviz.store.parts import EventRange, PartWriter, as_arrow, part_folder
from gradviz.store.rank_folder import RankFolder

N = 4
EVENTS = N + 2  # of a window: the reset, the micro-steps, the update
WINDOWS = 4_096 // EVENTS  # of a segment
SECONDS = 0.05  # of an event
PER_BLOCK = (
    ("norm_1.weight", (512,), "LayerNorm"),
    ("norm_1.bias", (512,), "LayerNorm"),
    ("attention.in_proj.weight", (1536, 512), "Linear"),
    ("attention.in_proj.bias", (1536,), "Linear"),
    ("attention.out_proj.weight", (512, 512), "Linear"),
    ("attention.out_proj.bias", (512,), "Linear"),
    ("norm_2.weight", (512,), "LayerNorm"),
    ("norm_2.bias", (512,), "LayerNorm"),
    ("feed_forward.1.weight", (2048, 512), "Linear"),
    ("feed_forward.1.bias", (2048,), "Linear"),
    ("feed_forward.2.weight", (512, 2048), "Linear"),
    ("feed_forward.2.bias", (512,), "Linear"),
)


def layers_of(count: int) -> list[Layer]:
    """So many parameters of a transformer, in forward order."""
    ends = [("token.weight", (4096, 512), "Embedding"), ("position.weight", (512, 512), "Embedding")]
    shapes = ends + [
        (f"blocks.{place // len(PER_BLOCK)}.{name}", shape, kind)
        for place in range(max(count - len(ends), 0))
        for name, shape, kind in [PER_BLOCK[place % len(PER_BLOCK)]]
    ]
    return [
        Layer(place, name, shape, int(np.prod(shape)), "float32", kind, True)
        for place, (name, shape, kind) in enumerate(shapes[:count])
    ]


@dataclass
class Training:
    """The state that a segment hands on to the next: log10 of each layer's norm, and of its weights [L]."""

    layers: list[Layer]
    windows: int
    seed: int

    def __post_init__(self) -> None:
        random = np.random.default_rng([self.seed, 2**31])
        self.numels = np.array([layer.numel for layer in self.layers], dtype=np.float64)
        depth = np.linspace(0.0, 1.0, len(self.layers))
        self.log = -2.0 + 0.4 * depth + random.normal(0, 0.4, len(self.layers))
        self.weight = np.sqrt(self.numels) * 0.04

    def segment(self, number: int) -> tuple[Any, Any]:
        """The rows of gradients, ordered by (layer, event), and of events of a segment."""
        first = number * WINDOWS
        count = min(WINDOWS, self.windows - first)
        random = np.random.default_rng([self.seed, number])
        update = np.arange(first, first + count, dtype=np.int32)
        return self._gradients(random, update), self._events(random, update)

    def _gradients(self, random: np.random.Generator, update: np.ndarray) -> Any:
        shape = len(self.layers), len(update)
        walk = self.log[:, None] + np.cumsum(random.normal(0, 0.004, shape), axis=1)
        self.log = 0.995 * walk[:, -1] + 0.005 * -2.0  # it does not walk away for ever
        walk[:, (update % 9_973) == 9_000] += 1.3  # a spike
        own = 10 ** (walk[..., None] + random.normal(0, 0.05, (*shape, N)))
        cosine = random.normal(0.25, 0.1, (*shape, N)).clip(-0.9, 0.95)
        squares = np.zeros((*shape, N + 1))
        for k in range(N):
            before = squares[..., k]
            squares[..., k + 1] = (
                before + own[..., k] ** 2 + 2 * cosine[..., k] * own[..., k] * np.sqrt(before)
            )
        columns = self._spread(random, np.sqrt(squares), own, cosine, update)
        index = self._index(update)
        names = LayerNames(self.layers).column(index["layer_id"])
        schema = gradient_schema()
        arrays = [
            *(pa.array(index[name]) for name in INDEX_COLUMNS),
            *(columns[name] for name in STATISTICS),
            names,
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _spread(self, random: np.random.Generator, total: np.ndarray, own: np.ndarray, cosine: np.ndarray,
                update: np.ndarray) -> dict[str, Any]:  # fmt: skip
        """Columns of rows from norms [L, W, N + 1] of G_k, [L, W, N] of g_k and [L, W, N] cosines."""
        shape = *total.shape[:2], EVENTS
        accumulated, micro = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        accumulated[..., 1:-1], accumulated[..., -1] = total[..., 1:], total[..., -1]
        micro[..., 1:-1] = own
        root = np.sqrt(self.numels)[:, None, None].astype(np.float32)
        noise = random.uniform(0.75, 0.8, shape).astype(np.float32)
        peak = random.uniform(4.0, 5.0, shape).astype(np.float32)
        at = np.zeros(shape, dtype=bool)
        is_reset, is_micro, is_update, is_later = at.copy(), at.copy(), at.copy(), at.copy()
        is_reset[..., 0] = is_micro[..., 1:-1] = is_update[..., -1] = is_later[..., 2:-1] = True
        angle, weight, step = (np.zeros(shape, np.float32) for _ in range(3))
        angle[..., 1:-1] = cosine
        step[..., -1] = total[..., -1] * self._rate(update)
        weight[..., -1] = self.weight[:, None] * (1 + 1e-6 * update)
        nothing = np.zeros(shape, np.int64)
        values = {
            "mean_abs": (accumulated / root * noise, ~is_reset),
            "l2": (accumulated, ~is_reset),
            "max_abs": (accumulated / root * peak, ~is_reset),
            "zeros": (nothing.astype(np.float32), is_update),
            "nonfinite": (nothing, ~is_reset),
            "micro_mean_abs": (micro / root * noise, is_micro),
            "micro_l2": (micro, is_micro),
            "micro_max_abs": (micro / root * peak, is_micro),
            "micro_nonfinite": (nothing, is_micro),
            "cosine": (angle, is_later),
            "weight_l2": (weight, is_update),
            "step_l2": (step, is_update),
            "unchanged": (nothing.astype(np.float32), at),
        }
        return {name: as_arrow(of.reshape(-1), there.reshape(-1)) for name, (of, there) in values.items()}

    def _index(self, update: np.ndarray) -> dict[str, np.ndarray]:
        events = self._moments(update)
        repeated = {name: np.tile(values, len(self.layers)) for name, values in events.items()}
        return repeated | {
            "layer_id": np.repeat(np.arange(len(self.layers), dtype=np.int32), len(events["event"]))
        }

    def _moments(self, update: np.ndarray) -> dict[str, np.ndarray]:
        phase = np.array([Phase.RESET, *[Phase.MICRO_STEP] * N, Phase.UPDATE], dtype=np.int8)
        micro_step = np.array([0, *range(1, N + 1), N], dtype=np.int16)
        event = np.arange(len(update) * EVENTS, dtype=np.int64) + int(update[0]) * EVENTS
        return {
            "event": event,
            "update": np.repeat(update, EVENTS),
            "micro_step": np.tile(micro_step, len(update)),
            "phase": np.tile(phase, len(update)),
        }

    def _rate(self, update: np.ndarray) -> np.ndarray:
        warm = np.minimum((update + 1) / 2_000, 1.0)
        return 2e-3 * warm * (0.55 + 0.45 * np.cos(np.pi * update / self.windows))

    def _events(self, random: np.random.Generator, update: np.ndarray) -> Any:
        moments = self._moments(update)
        count, known = len(moments["event"]), moments["phase"] != Phase.RESET
        falling = 1.6 + 3.0 / np.sqrt(1 + moments["update"] / 200)
        is_micro = moments["phase"] == Phase.MICRO_STEP
        scalars = {
            "loss": (falling + random.normal(0, 0.08, count), is_micro),
            "loss_weight": (np.full(count, 1 / (N * 4_096)), is_micro),
            "loss_reduction": (np.ones(count, np.int64), is_micro),
            "loss_elements": (np.full(count, 4_096, np.int64), is_micro),
            "lr": (self._rate(moments["update"]), known),
            "amp_scale": (np.zeros(count), np.zeros(count, bool)),
            "samples": (np.full(count, 8.0), is_micro),
        }
        schema = event_schema(["samples"])
        arrays = [pa.array(values) for values in moments.values()]
        arrays.append(pa.array(SECONDS * moments["event"]))
        arrays += [as_arrow(values, there) for values, there in scalars.values()]
        return pa.Table.from_arrays(arrays, schema=schema)


def write_segment(run: Path, gradients: Any, events: Any) -> None:
    """The three parts of a segment, the gradients last, as the writer does it."""
    numbers = events.column("event").to_numpy()
    span = EventRange(int(numbers[0]), int(numbers[-1]))
    groups = list(_row_groups(gradients))
    overview = combine(pa.concat_tables([roll_up(group) for group in groups]))
    for kind, tables in (("events", [events]), ("overview", [overview]), ("gradients", groups)):
        with PartWriter(Disk(), part_folder(run, kind), kind, span, tables[0].schema) as part:
            for table in tables:
                part.add_row_group(table)
            part.commit(durable=False)


def _row_groups(table: Any) -> Iterator[Any]:
    ends = np.flatnonzero(np.diff(table.column("layer_id").to_numpy(), append=-1)) + 1
    stops = [int(ends[cut - 1]) for cut in cut_points(ends, ROW_GROUP_ROWS)]
    for start, stop in zip([0, *stops], stops, strict=False):
        yield table.slice(start, stop - start)


def make_run(parent: Path, rows: int, layers: int = 250, seed: int = 0) -> Path:
    """A finished run of about so many rows: whole windows. Two segments are in memory at any time."""
    windows = max(1, round(rows / layers / EVENTS))
    training = Training(layers_of(layers), windows, seed)
    folder = new_folder(parent, training.layers, durable=False)
    facts = {
        "accumulation_steps": N,
        "every": 1,
        "model_class": "Transformer",
        "torch_version": "2.13.0",
        "flush_seconds": 2.0,
        "forward_order": [layer.layer_id for layer in training.layers],
        "optimizers": [_optimizer(layers)],
    }
    folder.update_manifest(training.layers, facts)
    folder.write_rank_file()
    with ThreadPoolExecutor(1) as writer:
        before: Future[None] | None = None
        for number in range(-(-windows // WINDOWS)):
            tables = training.segment(number)
            if before is not None:
                before.result()
            before = writer.submit(write_segment, folder.run, *tables)
        if before is not None:
            before.result()
    _finish(folder, windows)
    return folder.run


def _optimizer(layers: int) -> dict[str, Any]:
    return {
        "class": "SGD",
        "fused": False,
        "settings": {"lr": 2e-3, "momentum": 0.0},
        "layers": list(range(layers)),
    }


def _finish(folder: RankFolder, windows: int) -> None:
    folder.heartbeat = replace(Heartbeat(), state=RunState.FINISHED, events=windows * EVENTS,
                               last_event=windows * EVENTS - 1, last_update=windows - 1,
                               last_event_at=time.time())  # fmt: skip
    folder.write_heartbeat()


def main() -> None:
    """Make the run, and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the run folder is put")
    parser.add_argument("--rows", type=float, default=1e8)
    parser.add_argument("--layers", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    wall, cpu = time.perf_counter(), time.process_time()
    run = make_run(given.folder, int(given.rows), given.layers, given.seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = given.layers * EVENTS * max(1, round(given.rows / given.layers / EVENTS))
    size = sum(part.stat().st_size for part in run.rglob("*.parquet"))
    print(f"{run}\n{rows:,} rows of {given.layers} layers: {rows / wall:,.0f} rows/s in {wall:.0f} s "
          f"(CPU {cpu:.0f} s), {size / rows:.1f} bytes a row, {size / 1e9:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main()

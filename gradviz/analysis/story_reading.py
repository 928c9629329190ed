"""Reads the story of a run: only the columns it needs, a piece at a time, folded as they come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradviz.analysis.folding import COLUMNS, Fold
from gradviz.analysis.frames import Flags, Floats, integers, ranks_at, values_at
from gradviz.analysis.story import LayerTable, MicroSteps, RunStory
from gradviz.analysis.windows import window_axis
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

    from gradviz.store import Run

ROWS_AT_MOST = 40_000_000  # beyond it the first and the last windows are read, half and half
MICRO_SCALARS = ("loss", "loss_is_nan", "loss_weight", "loss_elements", "lr", "amp_scale", "samples")
UPDATE_SCALARS = ("lr", "amp_scale", "skipped", "clip_coefficient")


def run_story(
    run: Run,
    progress: Callable[[float], object] = lambda _: None,
    *,
    layers: Collection[str] | None = None,
    updates: Sequence[tuple[int, int]] | None = None,
) -> RunStory:
    """Read what the checks need of a run, each column once; `progress` is told which fraction was read.

    Args:
        layers: names of the layers that the story is about; None for all.
        updates: inclusive ranges of updates, ascending and apart, to read instead of as many as may be read.
    """
    known = run.layers
    table = layer_table(known if layers is None else known[known["layer"].isin(list(layers))])
    events = _readable(run.events(), run.gaps, any_part=run.last_event is not None)
    kept, ranges = _bounded(events, len(table.names)) if updates is None else _within(events, updates)
    names = None if layers is None else list(table.names)
    fold = Fold(window_axis(kept), table.layer_id)
    rows, read = max(len(kept) * len(table.names), 1), 0
    for span in ranges:
        for piece in run.pieces(COLUMNS, layers=names, updates=span):
            fold.add(piece)
            read += len(piece["event"])
            progress(min(read / rows, 1.0))
    axis, windows = fold.axis, len(fold.windows)
    update_rows = (axis.phase == Phase.UPDATE) & (fold.place >= 0)
    scalars = {name: _at_updates(kept, name, fold, update_rows) for name in UPDATE_SCALARS}
    skipped = scalars["skipped"]
    return RunStory(
        table=table,
        update=axis.update[fold.windows],
        length=axis.length[fold.windows],
        seen=np.diff(np.append(fold.starts, len(fold.micro))),
        consumed=np.bincount(fold.place[update_rows], minlength=windows) > 0,
        skipped=skipped == 1,
        lr=scalars["lr"],
        amp_scale=scalars["amp_scale"],
        clip_coefficient=scalars["clip_coefficient"],
        micro=_micro_steps(kept, fold),
        edits=fold.edits(),
        layers=fold.layers(),
        declared=_declared(run.metadata),
        windows_total=_windows_of(events),
        facts=run.metadata,
        ranks=int(np.max(ranks_at(kept, axis.event), initial=1)),
        has_skipped=bool((~np.isnan(skipped)).any()),
    )


def layer_table(layers: pd.DataFrame) -> LayerTable:
    """`Run.layers` as arrays."""
    embedding = np.array([kind.startswith("Embedding") for kind in layers["module_type"]], dtype=np.bool_)
    many = np.array([len(shape) >= 2 for shape in layers["shape"]], dtype=np.bool_)
    return LayerTable(
        names=tuple(str(name) for name in layers["layer"]),
        layer_id=integers(layers, "layer_id"),
        numel=integers(layers, "numel"),
        dtype=tuple(str(dtype) for dtype in layers["dtype"]),
        trainable=layers["trainable"].to_numpy(dtype=np.bool_),
        embedding=embedding,
        matrix=many & ~embedding,
    )


def _declared(facts: Mapping[str, Any]) -> int | None:
    declared = facts.get("accumulation_steps")
    return declared if isinstance(declared, int) and declared > 0 else None


def _readable(events: pd.DataFrame, gaps: list[tuple[int, int]], *, any_part: bool) -> pd.DataFrame:
    """Events whose gradients can be read: a damaged part is a hole in the story, not a run of zeros."""
    number = integers(events, "event")
    lost = np.full(len(number), not any_part)
    for first, last in gaps:
        lost |= (number >= first) & (number <= last)
    return events[~lost] if lost.any() else events


def _bounded(events: pd.DataFrame, layers: int) -> tuple[pd.DataFrame, list[tuple[int, int] | None]]:
    """The events of as many windows as may be read, and the ranges of updates that they are."""
    room = max(2, ROWS_AT_MOST // max(layers, 1))
    if len(events) <= room:
        return events, [None]
    updates = integers(events, "update")
    order = np.sort(updates)
    first, last = int(order[room // 2]), int(order[-(room // 2)])
    return events[(updates < first) | (updates > last)], [
        (int(order[0]), first - 1),
        (last + 1, int(order[-1])),
    ]


def _within(
    events: pd.DataFrame, spans: Sequence[tuple[int, int]]
) -> tuple[pd.DataFrame, list[tuple[int, int] | None]]:
    """The events of the updates asked for, and those ranges."""
    updates = integers(events, "update")
    inside = np.zeros(len(updates), dtype=np.bool_)
    for first, last in spans:
        inside |= (updates >= first) & (updates <= last)
    return events[inside], list(spans)


def _windows_of(events: pd.DataFrame) -> int:
    return len(np.unique(integers(events, "update")[(events["phase"] == "micro_step").to_numpy()]))


def _micro_steps(events: pd.DataFrame, fold: Fold) -> MicroSteps:
    number = fold.axis.event[fold.micro]
    return MicroSteps(
        window=fold.place[fold.micro],
        micro_step=fold.axis.micro_step[fold.micro],
        squares=fold.micro_squares,
        **{name: values_at(events, name, number) for name in MICRO_SCALARS if name != "loss_elements"},
        loss_elements=values_at(events, "loss_elements", number) / ranks_at(events, number),
    )


def _at_updates(events: pd.DataFrame, name: str, fold: Fold, rows: Flags) -> Floats:
    """A scalar of update events by window; of several in a window the last that has one."""
    values = values_at(events, name, fold.axis.event[rows])
    known = ~np.isnan(values)
    found = np.full(len(fold.windows), np.nan)
    found[fold.place[rows][known]] = values[known]
    return found

"""What a query asks for, checked against what the run has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradviz.errors import QueryError
from gradviz.schema import BIN_NAMES, PHASES, Phase
from gradviz.store.columns import STATISTICS, overview_schema
from gradviz.store.moments import MOMENT
from gradviz.store.overviews import Asked

COLUMNS = ("event", "update", "micro_step", "phase", "layer", *STATISTICS)
DISTRIBUTION_COLUMNS = ("event", "update", "layer", *BIN_NAMES)
OVERVIEW_INDEX = ("layer_id", "block", "first_update", "last_update")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query: layer ids (ascending), inclusive updates, phase numbers (None: all), columns."""

    layer_ids: NDArray[np.int64] | None
    updates: tuple[int, int] | None
    phases: NDArray[np.int8] | None
    columns: tuple[str, ...]


def check_query(
    table: pd.DataFrame,
    layers: str | Iterable[str] | None,
    updates: tuple[int, int] | None,
    phases: str | Phase | Iterable[str | Phase] | None,
    columns: Iterable[str] | None,
) -> Query:
    """Turn the arguments of `Run.gradients` into a `Query`; raises QueryError that names what exists."""
    return Query(_layer_ids(table, layers), _updates(updates), _phases(phases), _columns(columns))


def _updates(updates: tuple[int, int] | None) -> tuple[int, int] | None:
    """Check an inclusive range of updates."""
    if updates is None:
        return None
    try:
        first, last = (int(update) for update in updates)
    except (TypeError, ValueError) as error:
        raise QueryError(
            f"updates={updates!r} is not a pair (first, last); both ends are included."
        ) from error
    return first, last


def _layer_ids(table: pd.DataFrame, layers: str | Iterable[str] | None) -> NDArray[np.int64] | None:
    if layers is None:
        return None
    names = [layers] if isinstance(layers, str) else list(layers)
    unknown = sorted(set(names).difference(table["layer"]))
    if unknown:
        raise QueryError(
            f"No layer {_list(unknown)} in this run. It has {len(table)}: {_list(table['layer'])}."
        )
    return np.sort(table.loc[table["layer"].isin(names), "layer_id"].to_numpy(dtype=np.int64))


def _phases(phases: str | Phase | Iterable[str | Phase] | None) -> NDArray[np.int8] | None:
    if phases is None:
        return None
    chosen = [phases] if isinstance(phases, (str, Phase)) else list(phases)
    names = [phase.name.lower() if isinstance(phase, Phase) else phase for phase in chosen]
    unknown = [name for name in names if name not in PHASES]
    if unknown:
        raise QueryError(f"No phase {_list(unknown)}. There are: {_list(PHASES)}.")
    return np.array(sorted(PHASES.index(name) for name in names), dtype=np.int8)


def _columns(columns: Iterable[str] | None) -> tuple[str, ...]:
    if columns is None:
        return COLUMNS
    wanted = [columns] if isinstance(columns, str) else list(columns)
    unknown = [name for name in wanted if name not in COLUMNS]
    if unknown:
        raise QueryError(
            f"No column {_list(unknown)} in gradients. There are: {_list(COLUMNS, len(COLUMNS))}."
        )
    return tuple(name for name in COLUMNS if name in wanted)


def check_events(
    updates: tuple[int, int] | None, columns: Iterable[str] | None
) -> tuple[tuple[int, int] | None, set[str] | None]:
    """Of events: an inclusive range, and columns with those that say what an event is; any name may be logged."""
    wanted = [columns] if isinstance(columns, str) else columns
    return _updates(updates), None if wanted is None else {*MOMENT, *wanted}


def check_overview(
    columns: Iterable[str] | None, most_blocks: int | None, updates: tuple[int, int] | None
) -> Asked:
    """What is asked of an overview."""
    return Asked(_overview_columns(columns), most_blocks, _updates(updates))


def _overview_columns(columns: Iterable[str] | None) -> tuple[str, ...]:
    """Columns of an overview as the files have them, those that say what a row is about among them; None for all."""
    known = overview_schema().names
    if columns is None:
        return tuple(known)
    wanted = {*OVERVIEW_INDEX, *columns} - {"layer"}
    unknown = sorted(wanted.difference(known))
    if unknown:
        raise QueryError(f"No column {_list(unknown)} in overview. There are: {_list(known, len(known))}.")
    return tuple(name for name in known if name in wanted)


def _list(names: Iterable[object], shown: int = _SHOWN) -> str:
    texts: Sequence[str] = [repr(name)[:80] for name in names]
    more = f", ... ({len(texts) - shown} more)" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more

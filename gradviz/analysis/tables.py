"""Every record as a table: what a picture was drawn from, in full precision, for CSV and for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Integers
from gradviz.schema import PHASES

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet takes for the start of a formula


@singledispatch
def table_of(record: object) -> pd.DataFrame:
    """One row a value drawn; each kind of record registers its own columns beside its definition.

    Raises:
        TypeError: nothing is registered for a record of this kind.
    """
    raise TypeError(f"A {type(record).__name__} has no table.")


@table_of.register(list)
def _(record: list[object]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([table_of(one) for one in record], ignore_index=True) if record else pd.DataFrame()


def framed(columns: Mapping[str, object]) -> pd.DataFrame:
    """Columns of one length as a frame; a single value stands in every row."""
    import pandas as pd  # figures, which read only records, need not load it

    return pd.DataFrame(columns)


def known(counts: Integers) -> pd.Series[int]:
    """Counts, missing where they are negative: there was no gradient to count in."""
    import pandas as pd

    return pd.Series(counts, dtype="Int64").mask(counts < 0)


def phase_names(phase: Integers) -> list[str]:
    """The words for numbers of `schema.Phase`."""
    return list(np.array(PHASES, dtype=object)[phase])


def to_csv(table: pd.DataFrame) -> str:
    """`table` as CSV: numbers in full precision, missing ones empty, no text that a spreadsheet would run."""
    return neutralised(table).to_csv(index=False, lineterminator="\n")


def neutralised(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, with an apostrophe before each text that a spreadsheet would take for a formula.

    Layers and runs are named by whoever recorded them, and `=HYPERLINK(...)` is a name. Numbers stay as they are.
    """
    inert = table.rename(columns=_inert)
    for place, dtype in enumerate(inert.dtypes):
        if dtype.kind not in "iufb":
            inert.isetitem(place, [_inert(cell) for cell in inert.iloc[:, place]])
    return inert


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell

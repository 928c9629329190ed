"""Every record as a table: what a picture was drawn from, in full precision, for CSV and for other tools."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@singledispatch
def table_of(record: object) -> pd.DataFrame:
    """One row a value drawn; each kind of record registers its own columns beside its definition.

    Raises:
        TypeError: nothing is registered for a record of this kind.
    """
    raise TypeError(f"A {type(record).__name__} has no table.")


@table_of.register
def _(record: list) -> pd.DataFrame:  # type: ignore[type-arg]  # singledispatch wants the bare class
    import pandas as pd

    return pd.concat([table_of(one) for one in record], ignore_index=True) if record else pd.DataFrame()

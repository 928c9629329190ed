"""Every number on every page says what it was computed on, and none is written with more digits than can be read."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from gradviz.figures.numbers import number, table_format
from tests.app.opening import PAGES, Open, assert_sound

DECIMAL = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
CLOCKS = {"seconds"}  # keep their digits: the time between two rows is what counts
SHORT = {"%.2f", "%.3g", "%d"}
SAMPLES = ("diverges-to-nan", "mixed-precision-clipped", "vanishing-deep-sigmoid")
OTHER = "healthy-digits-n4-short-last-window"
VIEWS = [(page, sample, {}) for page in PAGES for sample in SAMPLES[: 1 if page in ("runs", "learn") else 3]]
VIEWS += [("gradient_flow", SAMPLES[0], {"show": "pair"}), ("compare", SAMPLES[0], {"facts": "all"})]


def _assert_metrics(app: AppTest) -> None:
    for metric in app.metric:
        assert metric.help, f"{metric.label} does not say what it was computed on"
        for found in DECIMAL.findall(str(metric.value)):
            assert found == number(float(found)), metric.label


def _assert_table(frame: pd.DataFrame, columns: dict[str, dict[str, object]]) -> None:
    for name in map(str, frame.columns):
        column = columns.get(name, {})
        assert column.get("help"), f"the column {name} does not say what it was computed on"
        if frame[name].dtype.kind in "if":
            _assert_short(name, frame[name].to_numpy(dtype=np.float64), column)


def _assert_short(name: str, values: np.ndarray, column: dict[str, object]) -> None:
    form = column["type_config"]["format"]  # type: ignore[index]
    if form == "%d":
        assert np.array_equal(values[np.isfinite(values)] % 1, np.zeros(np.isfinite(values).sum())), name
    elif name not in CLOCKS:
        assert form in {table_format(values), "%.2e"} or (form in SHORT and table_format(values) != "%.2e"), (
            name
        )


@pytest.mark.parametrize(("page", "sample", "more"), VIEWS)
def test_numbers_are_explained_and_short(
    open_page: Open, page: str, sample: str, more: dict[str, str]
) -> None:
    asked = {"run": f"samples:{sample}", "runs": [f"samples:{sample}", f"samples:{OTHER}"], **more}
    app = open_page(page, **asked)
    assert_sound(app)
    _assert_metrics(app)
    for table in app.dataframe:
        _assert_table(table.value, json.loads(table.proto.columns))
    has_numbers = {"runs": app.dataframe, "compare": app.dataframe, "diagnosis": app.metric}.get(page, [1])
    assert len(has_numbers) > 0

"""The ridge on the page of the gradient flow: there for runs that were recorded with distributions, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gradviz.schema import EventRecord, Phase
from gradviz.store import RunWriter
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import NAMES, open_writer, record_run, write_windows
from tests.reference_distributions import reference_counts


class Counting:
    """Hands every event on to a writer, updates with the counts of the reference."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer

    def put(self, record: EventRecord) -> bool:
        counts = np.stack([reference_counts(record.update, layer) for layer in range(len(record.layer_ids))])
        return self._writer.put(record._replace(counts=counts) if record.phase is Phase.UPDATE else record)


def record_with_distributions(folder: Path, windows: int = 30) -> str:
    writer = open_writer(folder)
    counting: Any = Counting(writer)
    write_windows(counting, (2,) * windows)
    assert writer.close() == 0
    return writer.path.name


def test_a_run_without_distributions_has_no_such_section(open_page: Open, folder: Path) -> None:
    app = open_page("gradient_flow", run=record_run(folder).name)
    assert_sound(app)
    assert "by size" not in spoken(app)


def test_the_ridge_of_the_chosen_layer(open_page: Open, folder: Path) -> None:
    name = record_with_distributions(folder)
    app = open_page("gradient_flow", run=name)
    assert_sound(app)
    words = spoken(app).replace("\\", "")
    assert f"Gradient by size over updates: {NAMES[0]}" in words
    assert "Each hill adds up 2 of the 30 updates." in words
    assert len(app.get("plotly_chart")) == 2
    app.selectbox(key="widget.spread").select(NAMES[2]).run()
    assert_sound(app)
    assert f"Gradient by size over updates: {NAMES[2]}" in spoken(app).replace("\\", "")
    assert app.query_params["spread"] in (NAMES[2], [NAMES[2]])


def test_a_link_names_the_layer_in_chinese_too(open_page: Open, folder: Path) -> None:
    app = open_page("gradient_flow", run=record_with_distributions(folder, 3), spread=NAMES[3], lang="zh")
    assert_sound(app)
    assert NAMES[3] in spoken(app).replace("\\", "")
    assert "float16" in spoken(app)

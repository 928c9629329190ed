"""What a page says of windows that it cannot know."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gradviz.schema import RunState
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import open_writer, record_run
from tests.faults.spoiling import files_of


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.CRASHED])
def test_a_run_that_ended_without_a_row_is_not_said_to_be_recording(
    open_page: Open, folder: Path, state: RunState
) -> None:
    writer = open_writer(folder)
    writer.close(state)
    app = open_page("heat_map", run=writer.path.name)
    assert_sound(app)
    assert "There is nothing to show" in spoken(app)
    assert "Recording" not in spoken(app)


def test_a_live_run_without_a_row_waits_for_the_first(open_page: Open, folder: Path) -> None:
    writer = open_writer(folder)
    app = open_page("heat_map", run=writer.path.name)
    assert_sound(app)
    assert "Recording, nothing to show yet" in spoken(app)
    writer.close(RunState.FINISHED)


def test_windows_that_cannot_be_read_are_not_counted_as_none(open_page: Open, folder: Path) -> None:
    run = record_run(folder, windows=[4] * 6)
    for part in files_of(run / "events"):
        part.write_bytes(b"PAR1 garbage")
    for part in files_of(run / "gradients"):  # which would tell of the windows, too
        group = pq.ParquetFile(part).metadata.row_group(0)
        pages = {(one := group.column(place)).path_in_schema: one for place in range(group.num_columns)}
        content = bytearray(part.read_bytes())
        content[pages["micro_step"].data_page_offset + pages["micro_step"].total_compressed_size - 1] ^= 1
        part.write_bytes(content)
    app = open_page("accumulation", run=run.name)
    assert_sound(app)
    numbers = {metric.label: metric.value for metric in app.metric}
    assert numbers["Windows"] == "–"
    assert numbers["Non-finite windows"] == "–"

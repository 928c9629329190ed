"""What a page says of windows that it cannot know."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradviz.schema import RunState
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import open_writer, record_run


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
    (part,) = (run / "events").rglob("*.parquet")
    part.write_bytes(b"PAR1 garbage")
    app = open_page("accumulation", run=run.name)
    assert_sound(app)
    numbers = {metric.label: metric.value for metric in app.metric}
    assert numbers["Windows"] == "–"
    assert numbers["Non-finite windows"] == "–"

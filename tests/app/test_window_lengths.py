"""How many micro-steps the windows had, in the few letters that fit beside the other numbers."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.app.opening import Open, assert_sound
from tests.app.recorded import open_writer, record_run, write_windows


def lengths(app: AppTest) -> str:
    assert_sound(app)
    return str(app.metric[1].value)


def test_a_window_that_is_under_way_is_no_short_one(open_page: Open, folder: Path) -> None:
    writer = open_writer(folder)
    try:
        write_windows(writer, [4, 4, 3], under_way=True)
        writer.flush()
        assert lengths(open_page("accumulation", run=writer.path.name)) == "4"
    finally:
        writer.close()
    assert lengths(open_page("accumulation", run=writer.path.name)) == "4, last 3"  # nothing is to come


def test_more_than_two_lengths_are_cut_in_words_and_not_by_the_edge(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4, 2, 4, 2, 4, 1, 3])
    assert lengths(open_page("accumulation", run=path.name)) == "4 (×3), 2 (×2), …"

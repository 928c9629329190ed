"""Runs whose files are cut short or have flipped bits: every page opens, and names what is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.opening import PAGES, Open, assert_sound, spoken
from tests.app.recorded import record_run
from tests.faults.faulty_disk import FaultyDisk
from tests.faults.recording import record
from tests.faults.spoiling import files_of, flipped

NOT_OF_A_RUN = ("runs", "learn", "compare")


def damage(path: Path, share: float) -> None:
    """Flip a bit that lies after a share of the file."""
    content = path.read_bytes()
    path.write_bytes(flipped(content, int(share * 8 * len(content))))


@pytest.mark.parametrize("share", [0.3, 0.8], ids=["a page", "the footer"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_a_run_with_flipped_bits(
    open_page: Open, folder: Path, page: str, share: float
) -> None:
    run = record(folder, FaultyDisk()).path
    spoilt = [path for path in files_of(run) if path.name != "run.json"]
    for path in spoilt:
        damage(path, share)
    app = open_page(page, run=run.name)
    assert_sound(app)
    if page not in NOT_OF_A_RUN:
        for path in spoilt:
            assert path.name in spoken(app), "each damaged file is named"


@pytest.mark.parametrize(
    ("page", "denial"),
    [
        ("accumulation", "No window"),
        ("gradient_flow", "Nothing was recorded"),
        ("diagnosis", "No check has enough"),
    ],
)
def test_what_the_gradients_tell_is_not_denied_where_the_events_are_damaged(
    open_page: Open, folder: Path, page: str, denial: str
) -> None:
    run = record_run(folder, windows=[4] * 24 + [2])
    for path in files_of(run / "events"):
        damage(path, 0.8)
    app = open_page(page, run=run.name)
    assert_sound(app)
    assert denial not in spoken(app)
    if page == "accumulation":
        assert app.metric[0].value == "25", "as many windows as the sawtooth has teeth"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_a_run_that_cannot_be_read(open_page: Open, folder: Path, page: str) -> None:
    run = record(folder, FaultyDisk()).path
    damage(run / "run.json", 0.5)
    app = open_page(page, run=run.name)
    assert not app.exception
    if page == "runs":
        assert "run.json" in spoken(app) + str(
            [list(frame.value.to_dict().values()) for frame in app.dataframe]
        )

"""What is damaged is said to every reader, also of pictures that were made for another one and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run
from tests.app.test_pages import RUN_PAGES, flipped


@pytest.mark.parametrize("page", RUN_PAGES)
def test_the_second_reader_is_told_too(open_page: Open, folder: Path, page: str) -> None:
    path = record_run(folder, windows=[4] * 6)
    part = sorted((path / "gradients").rglob("*.parquet"))[0]
    part.write_bytes(flipped(part, "layer_id"))
    for _ in range(2):  # each is a session of its own
        app = open_page(page, run=path.name)
        assert_sound(app)
        assert "Damaged parts skipped: 1" in spoken(app)

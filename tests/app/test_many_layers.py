"""Twenty thousand layers: every page opens, and says how many of them it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.opening import PAGES, Open, assert_sound, spoken
from tests.app.recorded import record_run

MANY = [f"model.blocks.{number // 20}.part{number % 20}.weight" for number in range(20_000)]
SAID = {"heat_map": "a map has at most 1000 rows", "gradient_flow": "20000 layers in forward order"}


@pytest.mark.soak
@pytest.mark.parametrize("page", PAGES)
def test_twenty_thousand_layers(open_page: Open, folder: Path, page: str) -> None:
    path = record_run(folder, layers=MANY, windows=[2, 2])
    app = open_page(page, run=path.name)
    assert_sound(app)
    said = spoken(app).replace("\\", "").replace(",", "")
    assert SAID.get(page, "") in said

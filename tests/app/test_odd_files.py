"""Small files of strangers, sealed as ours are, with numbers and times in them that none of ours has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gradviz.store.sealed import KEY, seal
from tests.app.opening import PAGES, Open, assert_sound
from tests.faults.faulty_disk import FaultyDisk
from tests.faults.recording import record

BEFORE_ALL_TIMES, AFTER_ALL_TIMES = "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"
ODD: dict[str, dict[str, dict[str, Any]]] = {
    "early": {
        "run.json": {"created": BEFORE_ALL_TIMES, "accumulation_steps": 10**400, "every": -1},
        "heartbeat-0.json": {"written": -1e308, "last_event_at": -1e308, "events": -1, "dropped": -1},
        "rank-0.json": {"segments": [{"first_event": 10**30, "first_update": -1, "started": -1e308}]},
    },
    "late": {
        "run.json": {"created": AFTER_ALL_TIMES, "accumulation_steps": [], "every": {}, "torch_version": []},
        "heartbeat-0.json": {"written": 1e308, "last_event_at": float("inf"), "dropped": 10**400},
    },
    "never": {
        "run.json": {"created": None, "accumulation_steps": "4", "every": None, "forward_order": [10**400]},
        "heartbeat-0.json": {"written": float("nan"), "last_event_at": float("nan"), "errors": 10**400},
        "rank-0.json": {"world_size": 10**400, "launch": [], "restart": -1},
    },
}


def rewrite(path: Path, entries: dict[str, Any]) -> None:
    """Other entries, and the checksum as it must be."""
    content = json.loads(path.read_bytes())
    del content[KEY]
    path.write_bytes(seal(json.dumps({**content, **entries}).encode()))


@pytest.mark.parametrize("live", [False, True], ids=["ended", "live"])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(open_page: Open, folder: Path, page: str, odd: str, live: bool) -> None:
    run = record(folder, FaultyDisk()).path
    for name, entries in ODD[odd].items():
        state = {"state": "live", "host": "elsewhere"} if live and name.startswith("heartbeat") else {}
        rewrite(run / name, {**entries, **state})
    assert_sound(open_page(page, run=run.name))

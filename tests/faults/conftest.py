"""What every recording on a faulty disk needs."""

from __future__ import annotations

import pandas as pd
import pytest

from gradviz.store import session as sessions
from gradviz.store import tail as tails
from tests.faults.recording import truth


@pytest.fixture
def small_and_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few events, so that every kind of merge happens; the next try comes at once."""
    monkeypatch.setattr(tails, "FAN_IN", 2)
    monkeypatch.setattr(tails, "SEGMENT_EVENTS", 12)
    monkeypatch.setattr(sessions, "LONGEST_PAUSE", 0.0)
    monkeypatch.setattr("threading.excepthook", lambda died: None)  # a process that dies says nothing


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The rows of the recording where nothing fails."""
    return truth(tmp_path_factory.mktemp("truth"))

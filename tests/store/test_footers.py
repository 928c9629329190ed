"""Footers are kept for a number of parts over all runs; a part whose footer is not kept is read as well."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gradviz.store import open_run, part_files
from tests.store.made_runs import cut, make_events, make_layers, new_folder, write_batch


def test_a_part_without_its_footer_is_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = make_layers(4)
    folder = new_folder(tmp_path, layers)
    for batch in cut(make_events(layers, 60), [10] * 6):
        write_batch(folder, batch)
    whole = open_run(folder.run).gradients()
    monkeypatch.setattr(part_files, "FOOTER_CHUNKS", 50)
    monkeypatch.setattr(part_files, "_footers", part_files._Footers())
    run = open_run(folder.run)
    pd.testing.assert_frame_equal(run.gradients(), whole)
    parts = [path for path in folder.run.rglob("part-*") if part_files._footers.get(path) is not None]
    assert 0 < len(parts) < 6
    pd.testing.assert_frame_equal(run.gradients(), whole)

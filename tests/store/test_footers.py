"""Footers are kept for a number of parts over all runs; a part whose footer is not kept is read as well."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gradviz.store import footers, open_run, part_files
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


def test_a_footer_is_decoded_once_for_all_who_open_the_run(tmp_path: Path) -> None:
    layers = make_layers(2)
    folder = new_folder(tmp_path, layers)
    write_batch(folder, cut(make_events(layers, 10), [10])[0])
    (path,) = folder.run.glob("gradients/*/part-*")
    open_run(folder.run).gradients()
    before = part_files._footers.get(path)
    open_run(folder.run).gradients()
    assert part_files._footers.get(path).row_group(0).num_rows == before.row_group(0).num_rows
    assert part_files._footers.of(path, footers.check(path)) is part_files._footers.get(path)
    assert part_files._footers.of(path, b"00000000") is None


def test_another_part_of_the_same_name_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    layers = make_layers(2)
    shapes = (make_events(layers, 10), make_events(layers, 10, seed=7))
    folders = [new_folder(tmp_path / str(place), layers) for place in range(2)]
    for folder, events in zip(folders, shapes, strict=True):
        write_batch(folder, cut(events, [10])[0])
    first, second = (next(folder.run.glob("gradients/*/part-*")) for folder in folders)
    wanted = open_run(folders[1].run).gradients()
    open_run(folders[0].run).gradients()
    first.write_bytes(second.read_bytes())
    pd.testing.assert_frame_equal(open_run(folders[0].run).gradients(), wanted)

"""A folder of ten thousand runs, and two runs of one name at one moment."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from gradviz.errors import RunFolderError
from gradviz.store import files, list_runs
from gradviz.store import opening as openings
from gradviz.store.launches import Launch
from tests.store.made_runs import cut, make_events, make_layers, start_writer, write_run

RUNS = 10_000


def test_of_ten_thousand_runs_each_is_listed_and_only_its_small_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_run(tmp_path / "made", make_layers(1), cut(make_events(make_layers(1), 4), []))
    folder = tmp_path / "runs"
    for number in range(RUNS):
        run = folder / f"run-{number:05d}"
        run.mkdir(parents=True)
        os.link(made / "run.json", run / "run.json")
    read: list[int] = []
    real = files.Disk.read

    def counted(self: files.Disk, path: Path, limit: int) -> bytes:
        content = real(self, path, limit)
        read.append(len(content))
        return content

    monkeypatch.setattr(files.Disk, "read", counted)
    assert len({run.path for run in list_runs(folder)}) == RUNS
    assert len(read) <= 2 * RUNS
    assert max(read) < 10_000


def test_two_of_one_name_at_one_moment_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openings, "datetime", SimpleNamespace(now=lambda: datetime(2026, 1, 2, 3, 4, 5)))
    monkeypatch.setattr(Launch, "endings", lambda self: iter(["aaaa", "bbbb"]))
    first, second = (start_writer(tmp_path, make_layers(2)) for _ in range(2))
    with pytest.raises(RunFolderError, match="exist already"):
        start_writer(tmp_path, make_layers(2))
    for writer in (first, second):
        writer.put(make_events(make_layers(2), 1)[0])
        assert writer.close() == 0
    assert [run.path.name[-4:] for run in sorted(list_runs(tmp_path), key=lambda run: run.path)] == [
        "aaaa",
        "bbbb",
    ]
    assert [run.events for run in list_runs(tmp_path)] == [1, 1]

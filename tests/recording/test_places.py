"""Where `watch` records: a run that goes on, a folder behind a URL, and what stands in when neither can be had."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
import torch

import gradviz
from gradviz.errors import GradvizWarning, RunFolderError
from gradviz.store import list_runs, open_run


def train(windows: int, *, model: torch.nn.Module | None = None, **options: object) -> Path:
    """Windows of two micro-steps."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2) if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, optimizer, **options) as recorder:  # type: ignore[arg-type]
        for _ in range(windows):
            for _ in range(2):
                model(torch.randn(4, 3)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        assert recorder.run_path is not None
        return recorder.run_path


def test_a_run_goes_on_in_windows_of_its_own(tmp_path: Path) -> None:
    path = train(3, run_dir=tmp_path)
    assert train(2, resume=path, strict=True) == path
    run = open_run(path)
    updates = run.events()
    assert updates.loc[updates["phase"] == "update", "update"].tolist() == [0, 1, 2, 4, 5]
    assert (run.gaps, run.damaged) == ([], [])
    assert updates["event"].tolist() == list(range(len(updates)))
    assert updates["seconds"].is_monotonic_increasing
    assert run.segments["first_update"].tolist() == [0, 4]
    assert len(list_runs(tmp_path)) == 1


def test_a_run_that_cannot_go_on_is_followed_by_a_new_one(tmp_path: Path) -> None:
    path = train(1, run_dir=tmp_path)
    with pytest.warns(GradvizWarning, match=r"its layer 'weight' is \(2, 3\).*Recording a new run instead"):
        other = train(1, model=torch.nn.Linear(3, 4), resume=path, run_dir=tmp_path)
    assert other != path
    with pytest.raises(RunFolderError, match="its layer 'weight'"):
        train(1, model=torch.nn.Linear(3, 4), resume=path, run_dir=tmp_path, strict=True)


def test_a_run_may_lie_behind_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADVIZ_CACHE", str(tmp_path / "cache"))
    url = "memory://watched/runs"
    path = train(2, run_dir=url)
    (listed,) = list_runs(url)
    assert listed.updates == 2
    train(1, resume=f"{url}/{path.name}", strict=True)
    run = gradviz.open_run(f"{url}/{path.name}")
    assert run.gradients(phases="update")["update"].unique().tolist() == [0, 1, 3]
    fsspec.filesystem("memory").store.clear()


def test_the_url_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GRADVIZ_DIR", "memory://named/runs")
    monkeypatch.chdir(tmp_path)
    path = train(2, strict=True)
    assert [run.updates for run in list_runs("memory://named/runs")] == [2]
    assert path.is_relative_to(tmp_path / "cache")
    assert not (tmp_path / "memory:").exists()
    fsspec.filesystem("memory").store.clear()


def test_a_url_that_leads_nowhere_is_said_and_training_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.warns(GradvizWarning, match=r"nosuch://runs cannot be reached.*Recording to"):
        path = train(1, run_dir="nosuch://runs")
    assert open_run(path).updates == (0, 1)

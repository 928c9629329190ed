"""Folders of runs that are URLs, for every command that takes a folder, for $GRADVIZ_DIR and for the dashboard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from gradviz.cli.choosing import find_run
from gradviz.cli.commands import application
from gradviz.cli.dashboard import Dashboard
from gradviz.errors import RunFolderError, RunNotFoundError
from gradviz.store import RunWriter, list_runs, mirror, open_run
from gradviz.store.places import default_folder, default_place
from tests.store.made_runs import NEVER, make_events, make_layers

LAYERS = make_layers(2)
URL = "memory://bucket/runs"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GRADVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mirror, "REFRESH_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    yield
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


@pytest.fixture
def run_url() -> str:
    """One run of twelve events behind a URL."""
    writer = RunWriter.create(URL, "made", LAYERS, flush_seconds=NEVER, durable=False)
    for event in make_events(LAYERS, 12):
        writer.put(event)
    assert writer.close() == 0
    return str(writer.url)


def test_the_list_of_a_url(run_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = run_url.rpartition("/")[2]
    asked = CliRunner().invoke(application, ["ls", URL, "--json"])
    assert [Path(run["path"]).name for run in json.loads(asked.stdout)] == [name]
    monkeypatch.setenv("GRADVIZ_DIR", URL)
    assert [
        Path(run["path"]).name for run in json.loads(CliRunner().invoke(application, ["ls", "--json"]).stdout)
    ] == [name]


def test_a_run_is_found_by_its_name_behind_a_url(run_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(open_run(find_run("made", URL)).events()) == 12
    monkeypatch.setenv("GRADVIZ_DIR", URL)
    assert len(open_run(find_run("made")).events()) == 12
    with pytest.raises(RunNotFoundError, match=f"Run 'other' not found in {URL}"):
        find_run("other")


@pytest.mark.parametrize("of_the_run", [True, False])
def test_the_dashboard_of_a_url_shows_its_copies(run_url: str, of_the_run: bool) -> None:
    dashboard = Dashboard.on(run_url if of_the_run else URL, host="127.0.0.1", port=None)
    assert dashboard.folder is not None
    [summary] = list_runs(dashboard.folder)
    assert summary.events == 12
    assert len(open_run(summary.path).gradients()) == 24


def test_the_dashboard_of_the_folder_that_the_environment_names(
    run_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADVIZ_DIR", URL)
    dashboard = Dashboard.on(None, host="127.0.0.1", port=None)
    assert dashboard.folder is not None
    assert [run.name for run in list_runs(dashboard.folder)] == ["made"]
    assert default_place() == URL
    with pytest.raises(RunFolderError, match=r"\$GRADVIZ_DIR is the URL memory://.*gradviz view memory://"):
        default_folder()


def test_what_cannot_be_reached_is_a_sentence() -> None:
    with pytest.raises(RunFolderError, match="nowhere://runs cannot be reached"):
        Dashboard.on("nowhere://runs", host="127.0.0.1", port=None)


def test_doctor_looks_at_folders_of_this_machine() -> None:
    asked = CliRunner().invoke(application, ["doctor", URL])
    assert isinstance(asked.exception, RunFolderError)
    assert str(asked.exception).startswith(
        f"{URL} is a URL; gradviz doctor looks at folders of this machine."
    )


def test_doctor_names_what_stays_behind_of_runs_for_urls(run_url: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    asked = CliRunner().invoke(application, ["doctor", str(tmp_path / "runs"), "--json"])
    checks = {check["name"]: check for check in json.loads(asked.stdout)["checks"]}
    found = checks["runs for URLs"]
    assert (found["verdict"], found["found"].split(",")[0]) == ("note", "1 ended")
    assert run_url.rpartition("/")[2] in found["advice"]
    shutil.rmtree(tmp_path / "cache" / "spool")
    asked = CliRunner().invoke(application, ["doctor", str(tmp_path / "runs"), "--json"])
    again = {check["name"]: check for check in json.loads(asked.stdout)["checks"]}
    assert again["runs for URLs"]["verdict"] == "ok"

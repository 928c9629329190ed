"""`gradviz ls` and `gradviz summary`: real runs, names that are nearly right, hostile and broken folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import gradviz as package
from gradviz.cli.choosing import find_run
from gradviz.errors import RunNotFoundError
from gradviz.store.places import sample_folder
from tests.cli.conftest import Command

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))


def record(folder: Path, name: str, *, windows: tuple[int, ...] = (2, 2, 1), reset: bool = True) -> Path:
    """A small training with windows of these lengths; the path of its run."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with package.watch(model, optimizer, run_dir=folder, name=name, accumulation_steps=2) as recorder:
        for length in windows:
            for _ in range(length):
                model(torch.randn(4, 3)).square().mean().backward()
            optimizer.step()
            if reset:
                optimizer.zero_grad()
        assert recorder.run_path is not None
        return recorder.run_path


def test_ls_shows_runs_newest_first(gradviz: Command, tmp_path: Path) -> None:
    runs = [record(tmp_path / "gradviz_runs", name) for name in ("older", "newer")]
    answer = gradviz("ls")
    assert answer.code == 0
    heading, *rows = answer.out.splitlines()
    assert heading.split()[:3] == ["run", "state", "model"]
    assert [row.split()[:3] for row in rows] == [[run.name, "finished", "Linear"] for run in reversed(runs)]


def test_ls_as_json(gradviz: Command, tmp_path: Path) -> None:
    run = record(tmp_path / "elsewhere", "mine")
    (told,) = json.loads(gradviz("ls", tmp_path / "elsewhere", "--json").out)
    assert told["path"] == str(run)
    assert told["updates"] == 3
    assert (told["name"], told["state"], told["layers"], told["accumulation_steps"]) == (
        "mine",
        "finished",
        2,
        2,
    )


def test_ls_takes_the_folder_from_the_environment(
    gradviz: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record(tmp_path / "of-the-team", "mine")
    monkeypatch.setenv("GRADVIZ_DIR", str(tmp_path / "of-the-team"))
    assert run.name in gradviz("ls").out


def test_ls_of_an_empty_folder_says_how_to_fill_it(gradviz: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = gradviz("ls", "empty")
    assert answer.code == 0
    assert answer.out.startswith(f"No runs in {tmp_path / 'empty'}. Record one with `gradviz demo`")
    assert json.loads(gradviz("ls", "empty", "--json").out) == []


def test_ls_without_a_folder(gradviz: Command, tmp_path: Path) -> None:
    answer = gradviz("ls")
    assert answer.code == 2
    assert answer.err.startswith(f"gradviz: There is no folder {tmp_path / 'gradviz_runs'}. Record a run")
    assert "Traceback" not in answer.err


def test_a_run_that_cannot_be_opened_is_listed_with_its_problem(gradviz: Command, tmp_path: Path) -> None:
    run = record(tmp_path / "runs", "newer")
    manifest = json.loads((run / "run.json").read_text())
    manifest["version"] = manifest["format_version"] = 99
    (run / "run.json").write_text(json.dumps(manifest))
    answer = gradviz("ls", tmp_path / "runs")
    assert answer.code == 0
    assert f"{run.name}: " in answer.out
    assert gradviz("summary", run).code == 2


def test_summary_counts_windows_as_they_were(gradviz: Command, tmp_path: Path) -> None:
    run = record(tmp_path / "gradviz_runs", "mine", windows=(2, 2, 2, 1))
    told = json.loads(gradviz("summary", "mine", "--json").out)
    assert told["path"] == str(run)
    assert told["windows"]["observed"] == told["windows"]["consumed"] == 4
    assert told["windows"]["lengths"] == {"1": 1, "2": 3}
    assert told["windows"]["resets"] == {"clean": 4}
    assert (told["layers"], told["elements"], told["dropped"], told["damaged"]) == (2, 8, 0, [])


def test_summary_for_a_person(gradviz: Command, tmp_path: Path) -> None:
    record(tmp_path / "gradviz_runs", "mine", reset=False)
    lines = {" ".join(line.split()) for line in gradviz("summary", "mine").out.splitlines()}
    assert {
        "run mine",
        "state finished",
        "model Linear",
        "layers 2 with 8 elements",
        "windows 3, 3 of them consumed by an update",
        "lengths 2 micro-steps, 2 times; 1 micro-step, 1 times (declared: 2)",
        "resets 1 clean, 2 not reset",
    } <= lines


def test_summary_in_pieces_is_the_same(
    gradviz: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record(tmp_path, "mine", windows=(2, 2, 1, 3, 2), reset=False)
    whole = gradviz("summary", run, "--json").out
    monkeypatch.setattr("gradviz.cli.summary._ROWS_AT_ONCE", 1)
    assert gradviz("summary", run, "--json").out == whole


def test_summary_of_a_run_that_has_just_started(gradviz: Command, tmp_path: Path) -> None:
    run = record(tmp_path, "mine", windows=())
    answer = gradviz("summary", run)
    assert answer.code == 0
    assert "0, 0 of them consumed" in answer.out


def test_summary_says_what_is_damaged(gradviz: Command, tmp_path: Path) -> None:
    run = record(tmp_path, "mine")
    part = next((run / "gradients").rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    answer = gradviz("summary", run)
    assert answer.code == 0
    assert f"damaged, not shown: {part}" in answer.out
    assert json.loads(gradviz("summary", run, "--json").out)["damaged"][0]["path"] == str(part)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_sample_run_is_found_by_name(gradviz: Command, sample: Path) -> None:
    told = json.loads(gradviz("summary", sample.name, "--json").out)
    assert told["path"] == str(sample)
    assert told["windows"]["observed"] > 0


def test_the_newest_run_of_a_name_is_meant(tmp_path: Path) -> None:
    older, newer = (record(tmp_path, "mine") for _ in range(2))
    assert find_run("mine", tmp_path) == newer
    assert find_run(older.name, tmp_path) == older


def test_a_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(tmp_path / "far", "away")
    monkeypatch.chdir(run.parent)
    assert find_run(run.name).resolve() == run


def test_a_name_that_is_nearly_right(gradviz: Command, tmp_path: Path) -> None:
    run = record(tmp_path / "gradviz_runs", "baseline")
    answer = gradviz("summary", "basline")
    assert answer.code == 2
    assert answer.err.startswith("gradviz: Run 'basline' not found in gradviz_runs or ")
    assert run.name in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("asked", ["", "..", "/", "nul\0", "\x1b[31mred", "[red]x[/red]", "a" * 5000])
def test_odd_names_are_one_sentence(gradviz: Command, tmp_path: Path, asked: str) -> None:
    answer = gradviz("summary", asked, "--dir", tmp_path)
    assert answer.code == 2
    assert answer.err.startswith("gradviz: Run '")
    assert "\x1b" not in answer.err
    assert answer.err.count("\n") == 1


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradviz.store.places.sample_folder", lambda: tmp_path / "none")
    with pytest.raises(RunNotFoundError, match=r"no runs in .* or .*Record one with `gradviz demo`"):
        find_run("mine", tmp_path)


def test_viewing_writes_nothing_into_a_run(gradviz: Command, tmp_path: Path) -> None:
    run = shutil.copytree(SAMPLES[0], tmp_path / "runs" / "sample")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    gradviz("ls", tmp_path / "runs")
    gradviz("summary", run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before

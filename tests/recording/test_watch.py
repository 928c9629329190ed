"""`gradviz.watch` into real run folders: names, modes, bad input, the ways a run ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from loop_story import batches, make_model
from torch import nn

import gradviz
from gradviz.errors import GradvizWarning, RunFolderError, WatchError
from tests.forking import Forked


def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches(7)):
        (model(x).square().mean() / 3).backward()
        if (i + 1) % 3 == 0 or i == 6:
            optimizer.step()
            optimizer.zero_grad()


def test_from_hook_to_frame(tmp_path: Path) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, optimizer, run_dir=tmp_path, name="first", accumulation_steps=3) as recorder:
        loop(model, optimizer)
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    events = run.events()
    story = [
        f"{phase} {update}.{k}" for phase, update, k in events[["phase", "update", "micro_step"]].to_numpy()
    ]
    assert story[:6] == [
        "reset 0.0",
        "micro_step 0.1",
        "micro_step 0.2",
        "micro_step 0.3",
        "update 0.3",
        "reset 1.0",
    ]
    assert story[-4:] == ["reset 2.0", "micro_step 2.1", "update 2.1", "reset 3.0"]
    assert len(run.gradients()) == 4 * len(events)
    assert list(run.layers["layer"]) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert run.metadata["accumulation_steps"] == 3
    assert run.state == "finished"
    assert recorder.run_path.parent == tmp_path
    assert "-first-" in recorder.run_path.name


def test_default_folder_is_beside_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADVIZ_DIR", raising=False)
    with gradviz.watch(make_model()):
        pass
    assert (tmp_path / "gradviz_runs" / ".gitignore").read_text() == "*\n"
    monkeypatch.setenv("GRADVIZ_DIR", str(tmp_path / "elsewhere"))
    with gradviz.watch(make_model()):
        pass
    assert (
        len(gradviz.list_runs(tmp_path / "gradviz_runs"))
        == len(gradviz.list_runs(tmp_path / "elsewhere"))
        == 1
    )


def test_mode_off_is_a_no_op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADVIZ_MODE", "off")
    original = torch.autograd.backward
    with gradviz.watch(make_model(), run_dir=tmp_path) as recorder:
        recorder.log(loss=1.0)
        assert torch.autograd.backward is original
    assert recorder.run_path is None
    assert not list(tmp_path.iterdir())


BAD = {
    "str": ("model", "given a str", {}),
    "none": (None, "given a NoneType", {}),
    "no-parameters": (nn.ReLU(), "a ReLU, which has no parameters", {}),
    "parameters-without-names": (list(make_model().parameters()), "pairs of name and parameter", {}),
    "lazy": (nn.LazyLinear(3), "has no shape yet", {}),
    "optimizer": (make_model(), "a list_iterator as optimizer|a int as optimizer", {"optimizer": 3}),
    "every": (make_model(), "every=0", {"every": 0}),
    "accumulation_steps": (make_model(), "accumulation_steps='4'", {"accumulation_steps": "4"}),
}


@pytest.mark.parametrize(("model", "sentence", "options"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_training_goes_on(
    model: object, sentence: str, options: dict[str, object], tmp_path: Path
) -> None:
    with pytest.warns(GradvizWarning, match=sentence) as warned:
        recorder = gradviz.watch(model, run_dir=tmp_path, **options)  # type: ignore[arg-type]
    assert len(warned) == 1
    assert recorder.run_path is None
    with recorder:
        recorder.log(loss=1.0)
    with pytest.raises(WatchError, match=sentence):
        gradviz.watch(model, run_dir=tmp_path, strict=True, **options)  # type: ignore[arg-type]


def test_a_file_in_the_way_falls_back_and_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.warns(GradvizWarning, match="Cannot record into .*file.*Recording to"):
        recorder = gradviz.watch(make_model(), run_dir=file / "runs")
    recorder.close()
    assert recorder.run_path is not None
    assert gradviz.open_run(recorder.run_path).state == "finished"
    with pytest.raises(RunFolderError, match="Cannot record into"):
        gradviz.watch(make_model(), run_dir=file / "runs", strict=True)


def test_a_closed_recorder_says_so(tmp_path: Path) -> None:
    recorder = gradviz.watch(make_model(), run_dir=tmp_path)
    recorder.close()
    recorder.close()
    with pytest.warns(GradvizWarning, match=r"after the recorder was closed.*\['loss'\]"):
        recorder.log(loss=1.0)


def test_log_takes_numbers_only(tmp_path: Path) -> None:
    with gradviz.watch(make_model(), run_dir=tmp_path) as recorder:
        with pytest.warns(GradvizWarning, match="takes a number.*not a str"):
            recorder.log(loss="low")  # type: ignore[arg-type]
        with pytest.warns(GradvizWarning, match=r"not a Tensor of shape \(2,\)"):
            recorder.log(loss=torch.ones(2))


def test_watching_again_closes_the_run_before(tmp_path: Path) -> None:
    model = make_model()
    first = gradviz.watch(model, run_dir=tmp_path)
    second = gradviz.watch(model, run_dir=tmp_path)
    other = gradviz.watch(make_model(), run_dir=tmp_path)
    model(batches(1)[0]).sum().backward()
    second.close()
    other.close()
    states = {summary.path: summary.state for summary in gradviz.list_runs(tmp_path)}
    assert first.run_path is not None
    assert second.run_path is not None
    assert states[first.run_path] == "superseded"
    assert states[second.run_path] == "finished"
    assert len(gradviz.open_run(second.run_path).events()) == 2


@pytest.mark.parametrize(
    ("ending", "state", "code"),
    [
        ("pass", "finished", 0),
        ("raise ValueError('yours')", "crashed", 1),
        ("raise KeyboardInterrupt", "stopped", -2),
        ("sys.exit(3)", "stopped", 3),
        ("os._exit(4)", "interrupted", 4),
    ],
)
@pytest.mark.parametrize("manager", [True, False])
def test_how_a_run_ends(ending: str, state: str, code: int, manager: bool, tmp_path: Path) -> None:
    head = "with gradviz.watch(model, run_dir=sys.argv[1]) as recorder:" if manager else (
        "recorder = gradviz.watch(model, run_dir=sys.argv[1])\nif True:"
    )  # fmt: skip
    script = f"""
import os, sys, torch, gradviz
model = torch.nn.Linear(3, 2)
{head}
    model(torch.ones(1, 3)).sum().backward()
    {ending}
"""
    process = Forked(script, tmp_path)
    _, err = process.communicate()
    assert process.returncode == code
    assert ("yours" in err) == ("yours" in ending)
    (summary,) = gradviz.list_runs(tmp_path)
    if ending == "sys.exit(3)" and not manager:
        state = "finished"  # at exit Python no longer tells
    assert summary.state == state
    if state == "crashed":
        assert summary.reason == gradviz.open_run(summary.path).reason == "ValueError"


def test_a_deleted_model_closes_its_run(tmp_path: Path) -> None:
    model = make_model()
    recorder = gradviz.watch(model, run_dir=tmp_path)
    model(batches(1)[0]).sum().backward()
    assert recorder.run_path is not None
    del model
    recorder._writer._session.thread.join(timeout=30)  # type: ignore[attr-defined]
    assert gradviz.open_run(recorder.run_path).state == "finished"
    assert len(gradviz.open_run(recorder.run_path).events()) == 2
    recorder.close()


def test_memory_holds_no_second_copy_of_the_gradients() -> None:
    script = """
import os, sys, resource, torch, gradviz, tempfile
watched = sys.argv[1] == "watched"
torch.manual_seed(0)
model = torch.nn.Sequential(*[torch.nn.Linear(1024, 1024, bias=False) for _ in range(24)])
run = gradviz.watch(model, run_dir=tempfile.mkdtemp()) if watched else None
before = None
for i in range(8):
    model(torch.randn(4, 1024)).sum().backward()
    if i == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = {}
    for kind in ("bare", "watched"):
        training = Forked(script, kind)
        said, errors = training.communicate()
        assert training.returncode == 0, errors
        grown[kind] = int(said) / 1024
    assert grown["watched"] - grown["bare"] < 48, f"96 MB would be a copy of the gradients; grew {grown} MB"


def test_warnings_as_errors_do_not_reach_the_loop(tmp_path: Path) -> None:
    script = """
import sys, warnings, gradviz
warnings.simplefilter("error")
print(gradviz.watch("model", run_dir=sys.argv[1]).run_path)
"""
    process = Forked(script, tmp_path)
    said, errors = process.communicate()
    assert (process.returncode, said.strip()) == (0, "None"), errors
    assert "given a str" in errors


def test_recording_loads_nothing_of_the_viewing_side(tmp_path: Path) -> None:
    script = """
import sys, torch, gradviz
with gradviz.watch(torch.nn.Linear(2, 2), run_dir=sys.argv[1], distributions=True) as recorder:
    pass
print(recorder.run_path is None, *[name for name in ("plotly", "streamlit", "typer") if name in sys.modules])
"""
    process = Forked(script, tmp_path)  # by a process that has loaded the recorder, torch and pandas
    said, errors = process.communicate()
    assert (process.returncode, said.strip()) == (0, "False"), errors

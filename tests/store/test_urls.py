"""Run folders behind fsspec URLs: what is recorded here is there, whole, and read back the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from gradviz.errors import GradvizWarning, RunFolderError, RunNotFoundError
from gradviz.schema import RunState
from gradviz.store import RunWriter, list_runs, mirror, open_run
from gradviz.store import tail as tails
from gradviz.store.urls import Remote, is_run_file, is_url
from tests.store.made_runs import NEVER, make_events, make_layers, wait_for

LAYERS = make_layers(3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mirror, "MIRROR_SECONDS", 0.0)
    monkeypatch.setattr(mirror, "REFRESH_SECONDS", 0.0)


@pytest.fixture(scope="module")
def object_store() -> Iterator[str]:
    """The address of an object store that speaks S3, on this machine, with a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patched:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        address = "http://{}:{}".format(*server.get_host_and_port())
        keys = {
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        for name, value in (keys | {"AWS_ENDPOINT_URL": address}).items():
            patched.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield address
        server.stop()
        fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture(params=["memory", "file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder of runs on a file system of fsspec."""
    if request.param == "file":
        yield f"file://{tmp_path}/there/runs"
        return
    if request.param == "s3":
        request.getfixturevalue("object_store")
        yield f"s3://bucket/{tmp_path.name}/runs"
        return
    yield "memory://bucket/runs"
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


def start(url: str, **options: object) -> RunWriter:
    settings: dict[str, object] = {"flush_seconds": NEVER, "durable": False, **options}
    return RunWriter.create(url, "made", LAYERS, **settings)  # type: ignore[arg-type]


def record(writer: RunWriter, count: int) -> None:
    for event in make_events(LAYERS, count):
        number, update = writer.first_event + event.event, writer.first_update + event.update
        assert writer.put(event._replace(event=number, update=update))
    assert writer.close() == 0


def assert_alike(run_url: str, folder: Path) -> None:
    there, here = open_run(run_url), open_run(folder)
    pd.testing.assert_frame_equal(there.gradients(), here.gradients())
    pd.testing.assert_frame_equal(there.events(), here.events())
    pd.testing.assert_frame_equal(there.overview(), here.overview())
    assert there.verify() == []


def test_a_run_is_recorded_here_and_there(url: str) -> None:
    writer = start(url)
    record(writer, 20)
    assert writer.url == f"{url}/{writer.path.name}"
    assert_alike(writer.url, writer.path)
    run = open_run(writer.url)
    assert (run.state, run.last_event, run.name) == (RunState.FINISHED, 19, "made")
    assert [name for name in Remote(writer.url).files() if "tmp" in name] == []


def test_a_live_run_grows_under_its_reader(url: str) -> None:
    writer = start(url, flush_seconds=0.01)
    wait_for(lambda: len(Remote(str(writer.url)).files()) > 0)
    run = None
    for event in make_events(LAYERS, 4):
        writer.put(event)
        wait_for(lambda last=event.event: f"gradients/rank=0/part-{last:012d}-{last:012d}.parquet"
                 in Remote(str(writer.url)).files())  # fmt: skip
        run = run or open_run(str(writer.url))
        assert run.last_event == event.event
        assert run.state is RunState.LIVE
    writer.close()
    assert run is not None
    assert run.state is RunState.FINISHED
    assert len(run.gradients()) == 12


def test_what_a_merge_supersedes_is_removed_there(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "FAN_IN", 3)
    writer = start(url, flush_seconds=0.001)
    for event in make_events(LAYERS, 20):
        writer.put(event)
        wait_for(lambda last=event.event: open_run(writer.path).last_event == last)
    assert writer.close() == 0
    files = Remote(str(writer.url)).files()
    assert sorted(name for name in files if name.endswith(".parquet")) == [
        f"{kind}/rank=0/part-000000000000-000000000019.parquet"
        for kind in ("events", "gradients", "overview")
    ]
    assert_alike(str(writer.url), writer.path)


def test_a_run_behind_a_url_goes_on(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(url)
    record(first, 8)
    monkeypatch.setenv("GRADVIZ_CACHE", str(tmp_path / "another machine"))
    again = start(url, resume=first.url)
    assert (again.url, again.first_event) == (first.url, 8)
    assert again.path != first.path
    record(again, 4)
    monkeypatch.setenv("GRADVIZ_CACHE", str(tmp_path / "cache"))
    third = start(url, resume=first.url)
    assert (third.path, third.first_event) == (first.path, 12)
    record(third, 4)
    run = open_run(str(first.url))
    assert run.events()["event"].tolist() == list(range(16))
    assert run.segments["first_event"].tolist() == [0, 8, 12]
    assert_alike(str(first.url), third.path)


def test_runs_are_listed_and_opened(url: str) -> None:
    assert list_runs(url) == []
    writers = [start(url), start(url, flush_seconds=0.01)]
    record(writers[0], 8)
    wait_for(lambda: "heartbeat-0.json" in Remote(str(writers[1].url)).files())
    listed = list_runs(url)
    assert {one.path.name for one in listed} == {writer.path.name for writer in writers}
    states = {one.path.name: one.state for one in listed}
    assert states == {writers[0].path.name: RunState.FINISHED, writers[1].path.name: RunState.LIVE}
    (finished,) = (one for one in listed if one.state is RunState.FINISHED)
    assert len(open_run(finished.path).gradients()) == 24
    writers[1].close()


def test_a_place_that_fails_costs_the_copy_and_not_the_run(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("no route")

    with monkeypatch.context() as broken:
        broken.setattr(Remote, "upload", fail)
        writer = start(url)
        for event in make_events(LAYERS, 4):
            writer.put(event)
        with pytest.warns(GradvizWarning, match="copying to .*no route. The run is kept in"):
            writer._session._tick()
    assert writer.close() == 0
    assert_alike(str(writer.url), writer.path)
    assert "no route" in json.loads((writer.path / "heartbeat-0.json").read_text())["last_errors"][-1]


def test_a_hostile_place_puts_nothing_elsewhere(tmp_path: Path) -> None:
    writer = start(f"file://{tmp_path}/there")
    record(writer, 4)
    run = tmp_path / "there" / writer.path.name
    (run / "evil.py").write_text("x")
    (run / "gradients" / "rank=0" / "..part.parquet").write_text("x")
    copy = open_run(f"file://{run}").path
    assert {path.name for path in copy.rglob("*") if path.is_file()} == {
        "run.json", "heartbeat-0.json", "rank-0.json", "part-000000000000-000000000003.parquet",
    }  # fmt: skip
    for name in ("../run.json", "gradients/rank=0/../../x", "/etc/passwd", "run.json\n", "lock-0"):
        assert not is_run_file(name)


def test_a_folder_cannot_claim_to_be_a_copy(tmp_path: Path) -> None:
    writer = start(str(tmp_path / "runs"))
    record(writer, 4)
    (tmp_path / "runs" / "origin.txt").write_text("http://somewhere/else")
    assert open_run(writer.path).copy is None


def test_what_is_not_there_is_said(url: str) -> None:
    with pytest.raises(RunNotFoundError, match=r"No run at .*there is no run.json in it"):
        open_run(f"{url}/nothing")
    with pytest.raises(RunFolderError, match=r"cannot be reached: .*nosuch"):
        start("nosuch://bucket/runs")


def test_without_fsspec_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(RunFolderError, match=r"pip install 'gradviz-dashboard\[remote\]'"):
        start("memory://bucket/runs")


@pytest.mark.parametrize(
    ("place", "expected"),
    [("s3://bucket/runs", True), ("memory://x", True), ("simplecache::s3://b", True), ("C:\\runs", False),
     ("c:/runs", False), ("./runs", False), ("/a:b//c", False), (Path("s3://x"), False), ("", False)],
)  # fmt: skip
def test_what_is_a_url(place: object, expected: bool) -> None:
    assert is_url(place) is expected

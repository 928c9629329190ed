"""The page Runs sorts the whole list, not the rows of the page at hand; the choice is part of the link."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gradviz.schema import RunState
from gradviz.store.heartbeat import Heartbeat, file_name
from gradviz.texts import text
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run

ROWS = 25  # a page
COUNT = 30


@pytest.fixture
def many(folder: Path) -> list[str]:
    """Thirty runs, run-0 the oldest: run-3 has the most windows, run-7 crashed, run-11 never resets."""
    shape = {3: [4] * 9, 11: [4] * 6}
    healthy = record_run(folder.parent / "made", windows=[4, 4])
    for number in range(COUNT):
        target = folder / f"run-{number}"
        if number in shape:
            made = record_run(folder.parent / "others", windows=shape[number], resets=number != 11)
            made.rename(_parent(target))
        else:
            shutil.copytree(healthy, target)
        _rename(target, number)
    beat = Heartbeat(state=RunState.CRASHED, events=12, last_update=1)
    (folder / "run-7" / file_name(0)).write_bytes(beat.encode())
    return [f"run-{number}" for number in range(COUNT)]


def _parent(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _rename(run: Path, number: int) -> None:
    facts = json.loads((run / "run.json").read_text())
    facts.pop("crc32", None)
    facts |= {"name": run.name, "created": f"2026-01-{number + 1:02}T00:00:00+00:00"}
    (run / "run.json").write_text(json.dumps(facts))


def _names(open_page: Open, **parameters: str) -> list[str]:
    app = open_page("runs", **parameters)
    assert_sound(app)
    return list(app.dataframe[0].value["name"])


def test_newest_first_without_a_choice(open_page: Open, many: list[str]) -> None:
    assert _names(open_page) == many[::-1][:ROWS]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("oldest", ["run-0", "run-1", "run-2"]),
        ("name", ["run-0", "run-1", "run-2"]),
        ("state", ["run-7", "run-29", "run-28"]),
        ("windows", ["run-3", "run-11", "run-29"]),
        ("nonsense", ["run-29", "run-28", "run-27"]),
    ],
)
def test_the_whole_list_is_sorted(open_page: Open, many: list[str], order: str, first: list[str]) -> None:
    names = _names(open_page, sort=order)
    assert names[:3] == first
    assert len(names) == ROWS
    rest = _names(open_page, sort=order, page="2")
    assert sorted(names + rest) == sorted(many)


def test_numbers_in_names_count(open_page: Open, many: list[str]) -> None:
    assert _names(open_page, sort="name") == many[:ROWS]


def test_the_findings_of_all_runs_decide(open_page: Open, many: list[str]) -> None:
    """run-11 stands on the first page only once it was examined, though no page had shown it."""
    app = open_page("runs", sort="findings", page="2")
    for _ in range(100):
        if not any("are being examined" in one.value for one in app.caption):
            break
        app.run()
    assert_sound(app)
    names = _names(open_page, sort="findings")
    assert names[0] == "run-11"
    assert set(names) <= set(many)


def test_the_choice_goes_into_the_link(open_page: Open, many: list[str]) -> None:
    app = open_page("runs")
    app.selectbox(key="widget.sort").set_value("windows").run()
    assert app.query_params["sort"] == "windows"
    assert app.dataframe[0].value["name"].iloc[0] == "run-3"
    app.selectbox(key="widget.sort").set_value("newest").run()
    assert app.dataframe[0].value["name"].iloc[0] == many[-1]


def test_a_run_that_cannot_be_examined_holds_nothing_up(
    open_page: Open, many: list[str], folder: Path
) -> None:
    shutil.rmtree(folder / "run-2" / "gradients")
    (folder / "run-2" / "gradients").write_text("no folder")
    app = open_page("runs", sort="findings")
    for _ in range(100):
        if not any("are being examined" in one.value for one in app.caption):
            break
        app.run()
    assert_sound(app)
    assert text("app.runs.title") in spoken(app)
    assert not any("are being examined" in one.value for one in app.caption)

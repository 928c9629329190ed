"""A run of several ranks: all together, or one; the choice is in the link, and nowhere where there is one rank."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.opening import PAGES, Open, assert_sound, spoken
from tests.app.recorded import record_run
from tests.distributed.ranked_runs import Training, cuts, elements, record_sharded, start

RUN_PAGES = [page for page in PAGES if page in ("accumulation", "gradient_flow")]


def rank_menus(app: object) -> list[object]:
    return [box for box in app.selectbox if box.key == "widget.rank"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", RUN_PAGES)
def test_ranks_are_shown_together_until_one_is_chosen(open_page: Open, folder: Path, page: str) -> None:
    run = record_sharded(folder, Training.random(4), 2)
    app = open_page(page, run=run.name, statistic="l2")
    assert_sound(app)
    (menu,) = rank_menus(app)
    assert menu.options == ["All ranks together", "Rank 0 alone", "Rank 1 alone"]  # type: ignore[attr-defined]
    assert "rank" not in app.query_params
    app.selectbox(key="widget.rank").select("1").run()
    assert_sound(app)
    assert app.query_params["rank"] == "1"


def test_a_link_to_one_rank_shows_its_own_numbers(open_page: Open, folder: Path) -> None:
    run = record_sharded(folder, Training.random(4), 2)
    tables = []
    for rank in ("all", "0"):
        app = open_page("gradient_flow", run=run.name, rank=rank)
        assert_sound(app)
        tables.append(app.dataframe[0].value["accumulated"].tolist())
    assert tables[0] != tables[1]


@pytest.mark.parametrize("rank", ["0", "1", "-1", "x", "99999999999"])
def test_a_run_of_one_rank_has_no_such_menu(open_page: Open, folder: Path, rank: str) -> None:
    run = record_run(folder)
    app = open_page("accumulation", run=run.name, rank=rank)
    assert_sound(app)
    assert rank_menus(app) == []
    assert "rank" not in app.query_params


@pytest.mark.parametrize("rank", ["7", "../1", "all of them"])
def test_a_rank_that_is_not_there_shows_all(open_page: Open, folder: Path, rank: str) -> None:
    run = record_sharded(folder, Training.random(2), 2)
    app = open_page("accumulation", run=run.name, rank=rank)
    assert_sound(app)
    assert rank_menus(app)[0].value == "all"  # type: ignore[attr-defined]


def test_ranks_that_recorded_nothing_are_said(open_page: Open, folder: Path) -> None:
    training = Training.random(2)
    cut = cuts(training.layers, 3)[1]
    writer = start(folder, training.layers, 1, 3, shards=elements(cut))
    for event in range(training.events):
        writer.put(training.record(event, cut))
    writer.close()
    app = open_page("accumulation", run=writer.path.name)
    assert_sound(app)
    assert "rank 0, 2 recorded nothing here" in spoken(app).replace("\\", "")


def test_what_the_training_hides_is_said(open_page: Open, folder: Path) -> None:
    run = record_sharded(folder, Training.random(4), 2)
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(manifest | {"not_visible": ["fsdp-micro-gradient", "newer"]}))
    app = open_page("accumulation", run=run.name)
    assert_sound(app)
    assert "not visible under FSDP" in spoken(app).replace("\\", "")

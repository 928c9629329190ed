"""Every page opens on every sample run, on nothing, on damage and on hostile names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gradviz.store import sample_folder
from tests.app.opening import PAGES, Open, assert_sound, spoken
from tests.app.recorded import NAMES, open_writer, record_run, write_windows

SAMPLES = sorted(path.parent.name for path in sample_folder().glob("*/run.json"))
RUN_PAGES = [page for page in PAGES if page not in ("runs", "learn")]

HOSTILE = [
    "![](http://example.invalid/x.png)",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    ":material/warning: $x$ `code` [link](http://example.invalid)",
    "‮drawkcab",
    "层.权重",
]


def test_the_sample_runs_are_there() -> None:
    assert len(SAMPLES) >= 5


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_every_sample_run(open_page: Open, page: str, sample: str) -> None:
    app = open_page(page, run=f"samples:{sample}")
    assert_sound(app)
    assert not app.warning
    assert len(app.title) == 1


@pytest.mark.parametrize("page", PAGES)
def test_a_folder_that_is_missing_is_named_in_full(open_page: Open, folder: Path, page: str) -> None:
    app = open_page(page)
    assert_sound(app)
    if page == "runs":
        assert str(folder).replace("/", "\\/").replace("-", "\\-").replace("_", "\\_") in spoken(app)
        assert "gradviz.watch" in app.code[-1].value


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_folder_says_how_to_fill_it(open_page: Open, folder: Path, page: str) -> None:
    folder.mkdir()
    app = open_page(page)
    assert_sound(app)
    if page == "runs":
        assert "holds no runs yet" in spoken(app)
        assert "gradviz.watch" in app.code[-1].value


def test_the_three_empty_states_differ(open_page: Open, folder: Path) -> None:
    missing = spoken(open_page())
    folder.mkdir()
    empty = spoken(open_page())
    record_run(folder)
    filtered = spoken(open_page(filter="nothing-like-this"))
    assert "There is no folder" in missing
    assert "holds no runs yet" in empty
    assert "matches" in filtered


@pytest.mark.parametrize("page", RUN_PAGES)
def test_a_run_that_has_just_started(open_page: Open, folder: Path, page: str) -> None:
    writer = open_writer(folder)
    try:
        app = open_page(page, run=writer.path.name)
        assert_sound(app)
        assert "nothing to show yet" in spoken(app)
    finally:
        writer.close()


@pytest.mark.parametrize("page", RUN_PAGES)
def test_a_live_run_is_marked(open_page: Open, folder: Path, page: str) -> None:
    writer = open_writer(folder)
    try:
        write_windows(writer, [4, 4])
        app = open_page(page, run=writer.path.name)
        assert_sound(app)
        assert "live" in spoken(app)
        assert [toggle.label for toggle in app.toggle] == ["Pause"]
    finally:
        writer.close()


def flipped(part: Path, name: str) -> bytes:
    """The bytes of a part with one of them wrong, among the values of a column."""
    group = pq.read_metadata(part).row_group(0)
    column = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == name)
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 255
    return bytes(content)


@pytest.mark.parametrize("page", RUN_PAGES)
@pytest.mark.parametrize("damage", [b"", b"PAR1 garbage", None], ids=["zero bytes", "garbage", "flipped"])
def test_a_damaged_part_is_said_and_the_page_lives(
    open_page: Open, folder: Path, page: str, damage: bytes | None
) -> None:
    path = record_run(folder, windows=[4] * 6)
    part = sorted((path / "gradients").rglob("*.parquet"))[0]
    part.write_bytes(flipped(part, "layer_id") if damage is None else damage)  # which every page reads
    app = open_page(page, run=path.name)
    assert_sound(app)
    assert "Damaged parts skipped: 1" in spoken(app)
    assert any(part.name in block.value for block in app.code)


@pytest.mark.parametrize("page", PAGES)
def test_a_newer_format_gets_a_friendly_card(open_page: Open, folder: Path, page: str) -> None:
    path = record_run(folder)
    manifest = json.loads((path / "run.json").read_text())
    version = next(key for key in manifest if "version" in key and "torch" not in key)
    (path / "run.json").write_text(json.dumps(manifest | {version: 99}))
    app = open_page(page, run=path.name)
    assert_sound(app)
    if page in RUN_PAGES:
        assert "cannot be shown" in spoken(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_foreign_folder_is_ignored(open_page: Open, folder: Path, page: str) -> None:
    (folder / "tensorboard").mkdir(parents=True)
    (folder / "tensorboard" / "run.json").write_text('{"program": "another"}')
    assert_sound(open_page(page, run="tensorboard"))


@pytest.mark.parametrize("page", RUN_PAGES)
def test_a_run_that_is_deleted_while_open(open_page: Open, folder: Path, page: str) -> None:
    path = record_run(folder)
    app = open_page(page, run=path.name)
    assert_sound(app)
    shutil.rmtree(path)
    app.run()
    assert_sound(app)


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_are_shown_as_they_are(open_page: Open, folder: Path, page: str) -> None:
    path = record_run(folder, HOSTILE[0], layers=HOSTILE, model_class=HOSTILE[0])
    app = open_page(page, run=path.name, layer=HOSTILE[:3], part=HOSTILE[0])
    assert_sound(app)
    markdown = [
        element.value for kind in ("markdown", "caption", "header", "info") for element in app.get(kind)
    ]
    assert not [text for text in markdown if "](http" in text or "<script" in text]


@pytest.mark.parametrize("page", RUN_PAGES)
@pytest.mark.parametrize(
    "layers", [["only"], [f"blocks.{i}.weight" for i in range(300)]], ids=["one", "many"]
)
def test_one_layer_and_many(open_page: Open, folder: Path, page: str, layers: list[str]) -> None:
    path = record_run(folder, layers=layers, windows=[2, 2])
    assert_sound(open_page(page, run=path.name))


@pytest.mark.parametrize("page", RUN_PAGES)
def test_a_run_of_one_micro_step(open_page: Open, folder: Path, page: str) -> None:
    assert_sound(open_page(page, run=record_run(folder, windows=[1]).name))


def test_the_headline_counts_what_was_observed(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4, 4, 4, 2])
    app = open_page("accumulation", run=path.name, layer=[NAMES[0]])
    assert [metric.value for metric in app.metric] == ["4", "4, last 2", "✓ all clean", "0", "0"]


def test_the_headline_says_what_was_not_reset(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4, 4, 4], resets=False)
    app = open_page("accumulation", run=path.name)
    assert app.metric[2].value == "✗ 2/3 missed"


def test_a_broken_section_leaves_the_others_alive(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the picture is broken")

    monkeypatch.setattr("dashboard_accumulation_pictures.plot_build_up", broken)
    app = open_page("accumulation", run=record_run(folder).name)
    assert not app.exception
    assert len(app.error) == 1
    assert any("the picture is broken" in block.value for block in app.code)
    assert len(app.dataframe) == 1  # the ledger, below the section that failed

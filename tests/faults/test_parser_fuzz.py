"""The small files and the indexes of parts with anything in them that JSON can hold, sealed as ours are.

Flipped bits stop at the checksum; a stranger who writes a run seals it. Whatever he writes: numbers as they were,
or an error or a damage that names the file; no other exception.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradviz.diagnostics import diagnose
from gradviz.errors import GradvizError
from gradviz.store import footers, list_runs, open_run
from gradviz.store.parts import CHECKSUM_KEY, INDEX_KEY
from gradviz.store.sealed import KEY, seal
from tests.faults.spoiling import frames_of

GOLDEN = Path(__file__).parents[1] / "golden" / "checked-footers"
NUMBERS = [-1, 0, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.5, float("nan"), float("inf")]
ODD = st.one_of(
    st.sampled_from([*NUMBERS, None, True, "", "\x00", "\ud800", "../../etc", [], {}, [[]], {"": None}]),
    st.text(max_size=5), st.lists(st.integers(), max_size=3),
)  # fmt: skip


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value: each entry of each object and list."""
    inside = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [one for key, value in inside for one in ((*path, key), *places(value, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, content: Any) -> Any:
    """The value with one to three entries changed, taken out, or put in twice."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(content) or [()]))
        if not place:
            return draw(ODD)
        holder = content
        for key in place[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(["change", "remove", "again"]))
        if how == "change":
            holder[place[-1]] = draw(ODD)
        elif how == "remove":
            del holder[place[-1]]
        elif isinstance(holder, list):
            holder.append(holder[place[-1]])
    return content


def numbers_of(run: Path) -> dict[str, pd.DataFrame]:
    """All numbers; a diagnosis, because a page makes one."""
    opened = open_run(run)
    diagnose(opened)
    return frames_of(opened)


def check(name: str, content: bytes) -> None:
    """Numbers as they were, or somebody is named."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(shutil.copytree(GOLDEN, Path(folder) / "run"))
        (run / name).write_bytes(content)
        list_runs(Path(folder))
        said, frames = "", SOUND
        try:
            frames = numbers_of(run)
        except GradvizError as error:
            said = str(error)
        if said:
            assert Path(name).name in said or "Upgrade with" in said
            return
        damaged = {damage.path.relative_to(run).as_posix() for damage in open_run(run).verify()}
        if name.endswith(".parquet"):
            assert damaged <= {name}
        for kind in () if damaged else ("gradients", "events", "distributions"):
            numbers = [key for key in SOUND[kind] if key not in ("layer", "phase")]
            left, right = (
                frame[kind][numbers].sort_values(numbers).reset_index(drop=True) for frame in (frames, SOUND)
            )
            pd.testing.assert_frame_equal(left, right, obj=f"{kind} with another {name}")


SOUND = frames_of(open_run(GOLDEN))
SMALL = ("run.json", "rank-0.json", "heartbeat-0.json")


def without_seal(name: str) -> Any:
    content = json.loads((GOLDEN / name).read_bytes())
    del content[KEY]
    return content


def fuzz_small_file(name: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(changed(without_seal(name)))
    def one(content: Any) -> None:
        text = json.dumps(content).encode()
        check(name, seal(text) if isinstance(content, dict) and content else text)

    one()


def fuzz_index(kind: str, examples: int) -> None:
    (path,) = (GOLDEN / kind / "rank=0").glob("part-*")
    stated = json.loads(pq.read_metadata(path).metadata[INDEX_KEY])

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(changed(stated))
    def one(content: Any) -> None:
        check(path.relative_to(GOLDEN).as_posix(), with_index(path, json.dumps(content)))

    one()


def with_index(path: Path, content: str) -> bytes:
    """The part with another index, and every checksum as it must be."""
    table = pq.read_table(path, partitioning=None)
    with tempfile.TemporaryFile() as stream:
        writer = pq.ParquetWriter(
            stream, table.schema.remove_metadata(), write_page_checksum=True, store_schema=False
        )
        writer.write_table(table.replace_schema_metadata(None), row_group_size=max(1, table.num_rows))
        checksum = f"{zlib.crc32(content.encode()):08x}"
        writer.add_key_value_metadata({INDEX_KEY: content, CHECKSUM_KEY: checksum, **footers.BLANK})
        begin = stream.tell()
        writer.close()
        footers.sign(stream, begin)
        stream.seek(0)
        return stream.read()


@pytest.mark.parametrize("odd", [None, 1, [1], [{"layers": [[]]}], [{"layers": 1}], [{"settings": [1]}]])
def test_optimizers_that_are_none(odd: Any) -> None:
    """A list where a layer's number should be ended the diagnosis with a TypeError."""
    check("run.json", seal(json.dumps({**without_seal("run.json"), "optimizers": odd}).encode()))


@pytest.mark.parametrize("entry", ["first_event", "first_update", "restart"])
def test_a_segment_that_no_table_can_hold(entry: str) -> None:
    """It ended the reader with an OverflowError."""
    content = without_seal("rank-0.json")
    content["segments"][0][entry] = 10**30
    check("rank-0.json", seal(json.dumps(content).encode()))


def test_an_index_whose_version_is_no_number() -> None:
    """It ended the reader with a TypeError."""
    (path,) = (GOLDEN / "gradients" / "rank=0").glob("part-*")
    stated = {"version": [], "kind": "gradients", "row_groups": []}
    check(path.relative_to(GOLDEN).as_posix(), with_index(path, json.dumps(stated)))


@pytest.mark.parametrize("name", SMALL)
def test_small_files_with_anything_in_them(name: str) -> None:
    fuzz_small_file(name, 8)


@pytest.mark.parametrize("kind", ["gradients", "events", "overview", "distributions"])
def test_indexes_with_anything_in_them(kind: str) -> None:
    fuzz_index(kind, 4)


@pytest.mark.soak
@pytest.mark.parametrize("name", SMALL)
def test_small_files_with_a_great_deal_in_them(name: str) -> None:
    fuzz_small_file(name, 60)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["gradients", "events", "overview", "distributions"])
def test_indexes_with_a_great_deal_in_them(kind: str) -> None:
    fuzz_index(kind, 40)

"""The table of runs: states in words and signs, a few teeth of each sawtooth, one click to open."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

import dashboard_view as view
import streamlit as st
from dashboard_catalogue import Shelf, open_summary
from dashboard_columns import Columns, moments, numbers, picture, texts
from dashboard_examining import is_large, is_too_large
from dashboard_findings import give_up, look, verdict, verdict_of
from dashboard_reading import Reading
from dashboard_run_order import RunOrder, in_order
from dashboard_sections import UNKNOWN, section, snippet
from dashboard_sparkline import sparkline
from dashboard_widgets import pick_number, type_text
from dashboard_words import printable, say, say_plain

from gradviz.errors import GradvizError
from gradviz.schema import RunState
from gradviz.store import RunSummary

TABLE = "runs.column"
SENTENCE = 420  # pixels of a column that says why a run cannot be opened
ROWS = 25  # a page; sparklines and findings are read for the page at hand only
LOOK_SECONDS, LOOK_EVERY = 0.3, 0.5  # findings come in a few runs at a time: the table stands at once
SIGNS = {
    RunState.LIVE: "●",
    RunState.FINISHED: "✓",
    RunState.STOPPED: "■",
    RunState.CRASHED: "✗",
    RunState.SUPERSEDED: "↻",
    RunState.INTERRUPTED: "◌",
    RunState.DAMAGED: "⚠",
}


def filter_box() -> str:
    """What the reader types to narrow the tables down."""
    return type_text("filter", say("runs.filter"), say_plain("runs.filter_hint")).strip().casefold()


def matching(runs: Mapping[str, RunSummary], wanted: str) -> dict[str, RunSummary]:
    """The runs whose name, model or state contains every word typed."""
    words = wanted.split()
    if not words:
        return dict(runs)
    states = {state: f"{state.value} {say_plain(f'state.{state.value}')}" for state in RunState}
    return {
        run_id: one
        for run_id, one in runs.items()
        if _has(f"{one.name} {one.model_class} {states[one.state]}".casefold(), words)
    }


def show_shelf(shelf: Shelf, runs: Mapping[str, RunSummary], wanted: str, order: RunOrder) -> None:
    """One folder as a table, or the sentence that says why there is none."""
    if shelf.fault == "missing":
        st.info(say("empty.missing", folder=str(shelf.folder)), icon=":material/folder_off:")
        snippet()
    elif shelf.fault is not None:
        st.warning(say(f"empty.{shelf.fault}", folder=str(shelf.folder)), icon=":material/folder_off:")
        st.caption(say("empty.another_folder"))
        st.code(say_plain("empty.another_folder_command"), language="sh")
    elif not shelf.runs:
        st.info(say("empty.folder", folder=str(shelf.folder)), icon=":material/folder_open:")
        snippet()
    elif not runs:
        st.info(say("empty.filter", wanted=wanted, count=len(shelf.runs)), icon=":material/filter_alt_off:")
        st.button(
            say("empty.clear_filter"), key=f"clear.{shelf.name}", on_click=view.touch, args=("filter", None)
        )
    else:
        st.caption(say(f"runs.{shelf.name}.caption", folder=str(shelf.folder)))
        _table(shelf.name, in_order(runs, order), whole=order == "findings")


def _table(shelf: str, runs: Mapping[str, RunSummary], *, whole: bool) -> None:
    """`whole`: the order asks for the findings of all runs, not only of those on the page at hand."""
    page = _page_of(len(runs)) if shelf == "recorded" else 1
    visible = dict(islice(runs.items(), (page - 1) * ROWS, page * ROWS))
    opened = {run_id: _reading_or_none(summary) for run_id, summary in visible.items()}
    unread = [one for one in opened.values() if one is not None and _is_to_come(one)]
    others = [one for run_id, one in runs.items() if whole and run_id not in visible and _is_unknown(one)]

    def rows() -> None:
        # Streamlit's own card of a fragment that fails offers no details
        with section(f"runs.{shelf}", heading=False):
            _rows(shelf, page, len(runs), visible, opened)
            if others:
                known = len(runs) - sum(map(_is_unknown, runs.values()))
                st.caption(say("runs.examined", known=known, count=len(runs)))
            if (unread or others) and look(chain(unread, _opened(others)), LOOK_SECONDS):
                st.rerun()  # every verdict is known: the table once more, without the clock

    st.fragment(rows, run_every=LOOK_EVERY if unread or others else None)()


def _is_to_come(reading: Reading) -> bool:
    return verdict(reading) is None and not is_too_large(reading)


def _is_unknown(summary: RunSummary) -> bool:
    """Whether a run that can be opened was never examined."""
    return summary.problem is None and verdict_of(summary) is None and not is_large(summary)


def _opened(summaries: Sequence[RunSummary]) -> Iterator[Reading]:
    """The runs one after the other; those that were examined meanwhile are left out."""
    for summary in filter(_is_unknown, summaries):
        reading = _reading_or_none(summary)
        if reading is None or is_too_large(reading):
            give_up(summary)
        else:
            yield reading


def _rows(
    shelf: str,
    page: int,
    count: int,
    visible: Mapping[str, RunSummary],
    opened: Mapping[str, Reading | None],
) -> None:
    rows = [_row(summary, opened[run_id]) for run_id, summary in visible.items()]
    columns = _columns()
    if any(summary.problem is not None for summary in visible.values()):
        columns |= texts(TABLE, lost=SENTENCE)
    if not any(row["lost"] for row in rows):
        del columns["lost"]
        rows = [{name: cell for name, cell in row.items() if name != "lost"} for row in rows]
    chosen = st.dataframe(
        rows,
        key=f"table.{shelf}.{page}.{count}",
        hide_index=True,
        row_height=44,
        height="content",
        column_config=columns,
        placeholder=UNKNOWN,
        alt=say_plain(f"runs.{shelf}.title"),
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
    )
    for row in [*chosen.selection.rows, *(cell[0] for cell in chosen.selection.cells)]:
        _open(list(visible)[row])


def _page_of(count: int) -> int:
    pages = math.ceil(count / ROWS)
    return pick_number("page", say("runs.page", pages=pages), 1, pages, default=1)


def _open(run_id: str) -> None:
    view.keep("run", run_id)
    st.switch_page("app_pages/accumulation.py", query_params={"run": run_id})


def _row(summary: RunSummary, reading: Reading | None) -> dict[str, object]:
    damaged = len(reading.damaged) if reading is not None else 0
    return {
        "state": f"{SIGNS[summary.state]} {say_plain(f'state.{summary.state.value}')}",
        "name": printable(summary.name),
        "findings": _findings(reading),
        "lost": _losses({"dropped": summary.dropped, "damaged": damaged}, summary.problem),
        "teeth": sparkline(reading.run, reading.stamp) if reading is not None else "",
        "model": printable(summary.model_class),
        "layers": summary.layers,
        "windows": summary.updates or 0,
        "accumulation_steps": summary.accumulation_steps,
        "created": summary.created,
    }


def _findings(reading: Reading | None) -> str:
    """The worst level and the number of findings, as far as they are known."""
    if reading is None:
        return say_plain("verdict.unknown")
    known = verdict(reading)
    if known is None:
        return say_plain("verdict.large" if is_too_large(reading) else "verdict.later")
    if known.count < 0:
        return say_plain("verdict.unknown")
    return (
        say_plain("verdict.none")
        if known.level is None
        else say_plain(f"verdict.{known.level}", count=known.count)
    )


def _losses(losses: Mapping[str, int], problem: str | None) -> str:
    if problem is not None:
        return say_plain("error.kind.RunFormatError", message=printable(problem))
    return ", ".join(say_plain(f"runs.{kind}", count=count) for kind, count in losses.items() if count)


def _columns() -> Columns:
    return (
        texts(TABLE, state=100, name=188, findings=105, model=100, lost=115)
        | numbers(TABLE, layers=("%d", 60), windows=("%d", 70), accumulation_steps=("%d", 70))
        | picture(TABLE, "teeth", 212)
        | moments(TABLE, "created", 125)
    )


def _reading_or_none(summary: RunSummary) -> Reading | None:
    try:
        return Reading.of(open_summary(summary)) if summary.problem is None else None
    except (GradvizError, OSError):  # deleted or damaged since the listing: the row stays, without a curve
        return None


def _has(text: str, words: Sequence[str]) -> bool:
    return all(word in text for word in words)

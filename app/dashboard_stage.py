"""A page about one run: which one, how it stands, and how a live one keeps up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

import dashboard_view as view
import streamlit as st
from dashboard_catalogue import (
    all_runs,
    chosen_id,
    forget_listing,
    is_plausible,
    open_summary,
    recorded_folder,
)
from dashboard_first import up_to_first_picture
from dashboard_link import publish
from dashboard_live import show_standing
from dashboard_reading import Reading
from dashboard_sections import page_head, section, snippet
from dashboard_widgets import pick_from_menu
from dashboard_words import language, literal, printable, say, say_plain
from dashboard_zoom import keep_zoom

from gradviz.schema import RunState
from gradviz.store import RunSummary
from gradviz.texts import catalogue, text

MENU_LENGTH = 500  # runs in the menu; the table on the page Runs has all of them
REFRESH_SECONDS = 2.0
TICK_SECONDS = 1.0  # the badge and the seconds since the last event; costs a look at the heartbeat
MORE = "~older"  # in the menu: the runs that it does not hold. No run has this id: `is_plausible` refuses it
ALL_RANKS = "all"


def show_run(page: str, draw: Callable[[Reading], None], *, parameters: Sequence[str]) -> None:
    """The head of the page, the run menu, and `draw` for the run; again and again while the run is live.

    `parameters` of the view go into the URL.
    """
    if view.value("run") == MORE:
        view.keep("run", None)
        st.switch_page("app_pages/runs.py")
    runs = all_runs()
    run_id = chosen_id(runs)
    if run_id is None:
        with page_head(page):
            st.space(size="stretch")
        _nothing_to_show(runs)
        return
    view.keep("run", run_id)
    listed = runs[run_id]
    is_live = listed.state is RunState.LIVE
    with page_head(page):
        _run_menu(runs, run_id)
        rank = _rank_menu(listed)
        paused = is_live and st.toggle(say("live.pause"), key="live.paused", help=say("live.pause_help"))

    def standing() -> None:
        _stand(listed, paused=paused)

    def stage() -> None:
        with up_to_first_picture():
            _show(listed, rank, draw)
        publish(*parameters, *(["rank"] if len(listed.ranks) > 1 else []))
        if is_live:
            keep_zoom()

    st.fragment(standing, run_every=TICK_SECONDS if is_live else None)()
    st.fragment(stage, run_every=REFRESH_SECONDS if is_live and not paused else None)()


def _stand(listed: RunSummary, *, paused: bool) -> None:
    """The line about the run; when a live one has ended, the whole page is drawn once more, without its clocks.

    A reader who paused looks at something: the badge changes, the page waits.
    """
    state = show_standing(listed)
    was_live = listed.state is RunState.LIVE
    if state is None or (was_live and state is not RunState.LIVE and not paused):
        forget_listing()
        st.rerun()


def _show(listed: RunSummary, rank: int | None, draw: Callable[[Reading], None]) -> None:
    with section("stage", heading=False):
        reading = Reading.of(open_summary(listed).of_rank(rank))
        top = st.container()
        if reading.run.updates is None and reading.run.last_event is None:
            is_live = listed.state is RunState.LIVE
            st.info(say("empty.rows" if is_live else "empty.rows_ended"), icon=":material/hourglass_empty:")
        else:
            draw(reading)
        with top:  # filled last: a page that fails its checksum is found when it is read
            show_damage(reading)
            _hidden(reading)


def _run_menu(runs: dict[str, RunSummary], run_id: str) -> None:
    options = list(islice(runs, MENU_LENGTH))
    options = options if run_id in options else [run_id, *options]
    labels = {one: _menu_label(runs[one]) for one in options}
    repeated = {label for label, times in Counter(labels.values()).items() if times > 1}
    # Streamlit finds an option by its label: two runs of one name need two labels.
    unique = {one: f"{label}  ·  {one}" if label in repeated else label for one, label in labels.items()}
    if len(options) < len(runs):
        unique[MORE] = say_plain("many.older", count=len(runs) - len(options))
        options.append(MORE)
    pick_from_menu("run", say("run.label"), options, unique.__getitem__, default=run_id, visible=False)


def _rank_menu(summary: RunSummary) -> int | None:
    """The rank to look at, where there are several; None: all together."""
    if len(summary.ranks) < 2:
        return None
    options = [ALL_RANKS, *map(str, summary.ranks)]
    chosen = pick_from_menu("rank", say("rank.label"), options, _rank_label, default=ALL_RANKS, visible=False)
    return None if chosen == ALL_RANKS else int(chosen)


def _rank_label(rank: str) -> str:
    return say_plain("rank.all") if rank == ALL_RANKS else say_plain("rank.one", rank=rank)


def _menu_label(summary: RunSummary) -> str:
    state = say_plain(f"state.{summary.state.value}")
    return f"{printable(summary.name)}  ·  {summary.created:%Y-%m-%d %H:%M}  ·  {state}"


def _hidden(reading: Reading) -> None:
    """What the set-up of the training hides is said, for it is drawn nowhere."""
    for code in reading.run.metadata.get("not_visible") or ():
        if f"hidden.{code}" in catalogue("en"):
            st.caption(literal(text(f"hidden.{code}", language())))


def show_damage(reading: Reading) -> None:
    """What is missing is said before anything is drawn."""
    run = reading.run
    if missing := run.missing_ranks:
        st.warning(say("damage.ranks", ranks=", ".join(map(str, missing))), icon=":material/group_off:")
    if run.dropped:
        st.warning(say("damage.dropped", count=run.dropped), icon=":material/water_drop:")
    if damaged := reading.damaged:
        st.warning(say("damage.damaged", count=len(damaged)), icon=":material/broken_image:")
        with st.expander(say("damage.details")):
            st.code(
                "\n".join(f"{printable(str(part.path))}: {part.reason}" for part in damaged),
                language=None,
            )


def _nothing_to_show(runs: dict[str, RunSummary]) -> None:
    asked = view.value("run")
    if asked is None:
        st.info(say("empty.folder", folder=str(recorded_folder())), icon=":material/folder_open:")
        snippet()
        return
    reason = "run.missing" if is_plausible(asked) else "run.refused"
    st.warning(say(reason, asked=asked, count=len(runs)), icon=":material/link_off:")
    st.page_link(
        "app_pages/runs.py", label=say("run.choose_another"), icon=":material/list:", query_params={}
    )
    view.keep("run", None)

"""Which runs are compared: chosen in the URL, checked by their letters, and how each of them stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import dashboard_view as view
import streamlit as st
from dashboard_catalogue import (
    all_runs,
    chosen_id,
    forget_listing,
    is_plausible,
    look_again,
    open_summary,
    recorded_folder,
)
from dashboard_first import up_to_first_picture
from dashboard_link import publish
from dashboard_live import COLOURS, ICONS
from dashboard_reading import Reading
from dashboard_sections import page_head, section, snippet
from dashboard_stage import MENU_LENGTH, REFRESH_SECONDS, show_damage
from dashboard_widgets import pick_several
from dashboard_words import printable, reason_of, say, say_plain

from gradviz.errors import GradvizError
from gradviz.schema import RunState
from gradviz.store import RunSummary

MOST_RUNS = 6


@dataclass(frozen=True)
class Member:
    """One of the runs that are compared; `name` tells it from the others."""

    run_id: str
    name: str
    reading: Reading


def show_members(draw: Callable[[Sequence[Member]], None], *, parameters: Sequence[str]) -> None:
    """The head of the page, the choice of runs, and `draw` for those that can be read; again while one is live."""
    runs = _all_runs()
    known = {run_id: one for run_id, one in runs.items() if run_id in _chosen(runs)}
    is_live = any(one.state is RunState.LIVE for one in known.values())
    with page_head("compare"):
        st.space(size="stretch")
        paused = is_live and st.toggle(say("live.pause"), key="live.paused", help=say("live.pause_help"))
    if not runs:
        st.info(say("empty.folder", folder=str(recorded_folder())), icon=":material/folder_open:")
        snippet()
        return
    _refused(runs)
    chosen = _choose(runs)
    every = REFRESH_SECONDS if is_live and not paused else None

    def stage() -> None:
        with up_to_first_picture(), section("compare.stage", heading=False):
            _show({one: runs[one] for one in chosen}, draw, refreshing=every is not None)
        publish(*parameters)

    st.fragment(stage, run_every=every)()


def _all_runs() -> dict[str, RunSummary]:
    """Every run; listed anew where the link names one that has only just begun."""
    runs = all_runs()
    if any(one not in runs and is_plausible(one) for one in view.values("runs")):
        forget_listing()
        runs = all_runs()
    return runs


def _chosen(runs: Mapping[str, RunSummary]) -> list[str]:
    """The runs of the view that are there; without any, the run looked at last and the one most like it."""
    asked = [one for one in dict.fromkeys(view.values("runs")) if is_plausible(one) and one in runs]
    return asked[:MOST_RUNS] if view.values("runs") else _first_choice(runs)


def _first_choice(runs: Mapping[str, RunSummary]) -> list[str]:
    own = chosen_id(runs) or next(iter(runs), None)
    if own is None:
        return []
    others = [one for one, summary in runs.items() if one != own and summary.problem is None]
    return [own, *sorted(others, key=lambda one: -_likeness(runs[own], runs[one]))[:1]]


def _likeness(one: RunSummary, other: RunSummary) -> int:
    """How much two runs look like trainings of the same model."""
    same_name = one.name == other.name
    return 4 * (one.layers == other.layers) + 2 * (one.model_class == other.model_class) + same_name


def _refused(runs: Mapping[str, RunSummary]) -> None:
    """What the link names and is not shown is said."""
    asked = view.values("runs")
    for one in asked:
        if not is_plausible(one):
            st.warning(say("compare.refused", asked=one), icon=":material/link_off:")
    missing = [one for one in asked if is_plausible(one) and one not in runs]
    if missing:
        names = say_plain("diagnosis.comma").join(missing)
        st.warning(say("compare.unknown", names=names), icon=":material/link_off:")


def _choose(runs: Mapping[str, RunSummary]) -> list[str]:
    chosen = _chosen(runs)
    view.keep("runs", chosen)
    options = list(dict.fromkeys([*chosen, *islice(runs, MENU_LENGTH)]))
    names = _names({run_id: runs[run_id] for run_id in options})  # options are found by their label
    return pick_several(
        "runs",
        say("compare.runs"),
        options,
        default=chosen,
        most=MOST_RUNS,
        hint=say("compare.runs_help"),
        shown=names.__getitem__,
    )


def _show(
    listed: Mapping[str, RunSummary], draw: Callable[[Sequence[Member]], None], *, refreshing: bool
) -> None:
    now = {run_id: look_again(summary) for run_id, summary in listed.items()}
    ended = not any(one is not None and one.state is RunState.LIVE for one in now.values())
    if any(one is None for one in now.values()) or (refreshing and ended):
        forget_listing()
        st.rerun()  # gone, or ended: the whole page once more, without the clock
    summaries = {run_id: one for run_id, one in now.items() if one is not None}
    names = _names(summaries)
    st.markdown("  \n".join(_standing(names[run_id], one) for run_id, one in summaries.items()))
    members = [member for run_id, one in summaries.items() if (member := _opened(run_id, names[run_id], one))]
    top = st.container()
    drawn = [member for member in members if _has_rows(member)]
    if len(drawn) > 1:
        draw(drawn)
    elif len(listed) < 2:
        st.info(say("compare.more" if len(listed) else "compare.none"), icon=":material/compare_arrows:")
    with top:  # filled last: a page that fails its checksum is found when it is read
        for member in members:
            _damage(member)


def _names(summaries: Mapping[str, RunSummary]) -> dict[str, str]:
    """The runs' own names; where two share one, with the ids that tell them apart."""
    times = Counter(one.name for one in summaries.values())
    return {
        run_id: printable(one.name if times[one.name] == 1 else f"{one.name} · {run_id}")
        for run_id, one in summaries.items()
    }


def _standing(name: str, summary: RunSummary) -> str:
    state = summary.state
    badge = f":{COLOURS[state]}-badge[{ICONS[state]} {say(f'state.{state.value}')}]"
    facts = [say("compare.name", run=name), say("run.layers", count=summary.layers)]
    if summary.model_class:
        facts.append(say("run.model", model=summary.model_class))
    return "  ·  ".join([f"{badge} {facts[0]}", *facts[1:]])


def _opened(run_id: str, name: str, summary: RunSummary) -> Member | None:
    """The run, if it can be opened; else a sentence."""
    try:
        return Member(run_id, name, Reading.of(open_summary(summary)))
    except GradvizError as error:
        st.warning(say("compare.cannot", run=name, reason=reason_of(error)), icon=":material/report:")
    except OSError:
        st.warning(say("compare.gone", run=name), icon=":material/report:")
    return None


def _has_rows(member: Member) -> bool:
    """Whether there is anything to draw of a run; where there is not, that is said."""
    run = member.reading.run
    if run.updates is not None or run.last_event is not None:
        return True
    st.info(say("compare.nothing_yet", run=member.name), icon=":material/hourglass_empty:")
    return False


def _damage(member: Member) -> None:
    run = member.reading.run
    if run.missing_ranks or run.dropped or member.reading.damaged:
        st.markdown(say("compare.name", run=member.name))
        show_damage(member.reading)

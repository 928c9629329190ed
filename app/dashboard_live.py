"""How a run stands: its badge, what is known of it in a line, and why we think that it ended as it did."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st
from dashboard_words import say, say_plain

from gradviz.schema import RunState
from gradviz.store import RunSummary
from gradviz.store.standing import Standing, standing_of, was_let_go

QUIET_SECONDS = 60.0  # a live run without an event for longer gets a sentence: is it stuck?
SILENT_SECONDS = 20.0  # the recorder reports every five; one that is later is starved or stopped
UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60))

COLOURS = {
    RunState.LIVE: "blue",
    RunState.FINISHED: "green",
    RunState.STOPPED: "gray",
    RunState.CRASHED: "red",
    RunState.SUPERSEDED: "gray",
    RunState.INTERRUPTED: "orange",
    RunState.DAMAGED: "red",
}
ICONS = {
    RunState.LIVE: ":material/radio_button_checked:",
    RunState.FINISHED: ":material/check_circle:",
    RunState.STOPPED: ":material/stop_circle:",
    RunState.CRASHED: ":material/cancel:",
    RunState.SUPERSEDED: ":material/replay:",
    RunState.INTERRUPTED: ":material/power_off:",
    RunState.DAMAGED: ":material/warning:",
}


def show_standing(listed: RunSummary) -> RunState | None:
    """Badge, facts and reasons of a run as it stands now; its state, or None when it is gone.

    Reads the heartbeats and nothing else, so that it can be asked every second.
    """
    if listed.problem is not None:
        st.markdown(_headline(listed, None))
        return listed.state
    if not (listed.path / "run.json").is_file():
        return None
    standing = standing_of(listed.path, listed.ranks)
    since = None if standing.last_event_at is None else max(0.0, time.time() - standing.last_event_at)
    st.markdown(_headline(replace(listed, state=standing.state, reason=standing.reason), since))
    sentence = _why(listed, standing, since)
    if sentence is None:
        return standing.state
    if standing.state in (RunState.CRASHED, RunState.INTERRUPTED):
        st.warning(sentence, icon=ICONS[standing.state])
    else:
        st.caption(sentence)
    return standing.state


def ago(seconds: float) -> str:
    """How long, in the largest unit that is worth a whole number."""
    for unit, length in UNITS:
        if seconds >= 2 * length:
            return say(f"ago.{unit}", count=int(seconds // length))
    return say("ago.seconds", count=int(seconds))


def _headline(summary: RunSummary, since: float | None) -> str:
    state = summary.state
    badge = f":{COLOURS[state]}-badge[{ICONS[state]} {say(f'state.{state.value}')}]"
    facts = [
        say("run.layers", count=summary.layers),
        say("run.created", when=f"{summary.created:%Y-%m-%d %H:%M} UTC"),
    ]
    if summary.model_class:
        facts.insert(0, say("run.model", model=summary.model_class))
    if state is RunState.LIVE and since is not None:
        facts.insert(0, say("live.last_event", ago=ago(since)))
    return "  ·  ".join([badge, *facts])


def _why(summary: RunSummary, standing: Standing, since: float | None) -> str | None:
    """A sentence where the state alone does not say enough."""
    state, reason = standing.state, standing.reason
    if state is RunState.INTERRUPTED:
        return _of_rank(summary, standing, _interrupted(summary, standing))
    if state is RunState.LIVE:
        return _alive(standing, since)
    if state is RunState.SUPERSEDED or (state is RunState.CRASHED and reason is None):
        return say(f"ending.{state.value}")
    if reason is not None:
        key = (
            reason
            if state is RunState.STOPPED and reason in ("KeyboardInterrupt", "SystemExit")
            else state.value
        )
        return _of_rank(summary, standing, say(f"ending.{key}_by", reason=reason))
    return None


def _interrupted(summary: RunSummary, standing: Standing) -> str:
    heartbeat = standing.heartbeat
    if heartbeat is None:
        return say("ending.no_heartbeat")
    silence = ago(max(0.0, time.time() - heartbeat.written))
    if was_let_go(summary.path, standing.rank):
        return say("ending.let_go", pid=heartbeat.pid, host=heartbeat.host, ago=silence)
    return say("ending.silent", host=heartbeat.host, ago=silence)


def _alive(standing: Standing, since: float | None) -> str | None:
    heartbeat = standing.heartbeat
    if heartbeat is None:
        return None
    silence = time.time() - heartbeat.written
    if silence > SILENT_SECONDS:
        return say("ending.alive_silent", pid=heartbeat.pid, ago=ago(silence))
    return say("ending.alive_quiet", ago=ago(since)) if since is not None and since > QUIET_SECONDS else None


def _of_rank(summary: RunSummary, standing: Standing, sentence: str) -> str:
    if len(summary.ranks) < 2:
        return sentence
    return f"{say_plain('rank.one', rank=standing.rank)}: {sentence}"

"""The parts of the accumulation page: the headline, the pictures, the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
from dashboard_accumulation_choice import MOST_LAYERS, WHOLE_MODEL, Choice, first_layers
from dashboard_accumulation_counts import counts
from dashboard_accumulation_findings import finding_marks, findings_part
from dashboard_accumulation_pictures import (
    draw_build_up,
    draw_noise_over_time,
    draw_sawtooth,
    draw_waterfall,
    is_readable,
    ledger,
)
from dashboard_columns import Columns, numbers, texts, written
from dashboard_reading import ROWS_AT_ONCE, Reading, Span, all_events, events
from dashboard_sections import show_picture, show_table
from dashboard_widgets import pick_from_menu, pick_number
from dashboard_words import say, say_plain

from gradviz.analysis import Sawtooth
from gradviz.analysis.groups import Group
from gradviz.analysis.ledger import few_windows
from gradviz.analysis.windows import usual_window
from gradviz.figures.numbers import number, table_format
from gradviz.schema import RunState

if TYPE_CHECKING:
    import pandas as pd

METRIC_WIDTH = 165  # five beside each other on a wide screen, two on a phone
NO_CLIP = 1e-4  # closer to 1 it is rounding
RARE_COLUMNS = ("weight", "clip", "amp_scale")  # shown only where the run has them
LEDGER_WINDOWS = 1000
SHORT_COLUMNS = {  # with three digits, and their widths in pixels
    "residual": 80,
    "loss": 85,
    "lr": 100,
    "weight": 95,
    "clip": 80,
    "l2": 80,
    "amp_scale": 90,
    "coherence": 85,
}

__all__ = [
    "METRIC_WIDTH",
    "MOST_LAYERS",
    "build_up_part",
    "choose_part",
    "headline",
    "ledger_part",
    "over_time_part",
    "sawtooth_part",
    "waterfall_part",
]


@dataclass(frozen=True)
class Part:
    """What norms are taken of: a layer, several together, or the whole model (None), and which window is looked at."""

    group: Group | None
    update: int

    @property
    def layers(self) -> tuple[str, ...] | None:
        """Names of the layers; None for all."""
        return None if self.group is None else self.group.layers


def headline(reading: Reading, choice: Choice) -> None:
    """A few numbers of the whole run, each with its sentence."""
    found = counts(reading, choice.layers, first_layers(reading)[0])
    record = found.record
    is_known = len(record.update) > 0 or not reading.damaged
    shown = {
        "windows": str(len(record.update)) if is_known else "–",
        "lengths": _lengths(record.length.tolist()[: -1 if _is_under_way(reading) else None]),
        "resets": _resets(int(record.clean.sum()), int(record.stale.sum())),
        "nonfinite": str(int(record.broken.sum())) if is_known else "–",
        "dropped": str(reading.run.dropped),
    }
    with st.container(horizontal=True, gap="medium", key="numbers"):
        for name, value in shown.items():
            st.metric(say(f"headline.{name}"), value, help=say(f"headline_help.{name}"), width=METRIC_WIDTH)
    if found.layer is not None:
        st.caption(say("accumulation.counted_few", layer=found.layer))


def sawtooth_part(reading: Reading, choice: Choice) -> None:
    """The picture, what it leaves out, and what the checks found in it."""
    marks = finding_marks(reading, choice)
    picture = draw_sawtooth(reading, choice, marks)
    show_picture("accumulation.sawtooth", picture)
    if choice.cut:
        first, last = choice.updates
        st.caption(say("accumulation.cut", layers=len(choice.layers), first=first, last=last))
    teeth: list[Sawtooth] = picture.record
    thinned = next((one for one in teeth if one.windows_shown < one.windows_total), None)
    if thinned is not None:
        st.caption(say("accumulation.thinned", shown=thinned.windows_shown, total=thinned.windows_total))
    gaps = [gap for gap in reading.run.gaps if gap[1] >= gap[0]]
    if gaps:
        st.caption(say("accumulation.gaps", count=len(gaps)))
    findings_part(reading, marks)


def choose_part(reading: Reading, choice: Choice) -> Part:
    """Which layers together (all, or the chosen ones where the model is too big), and which window."""
    whole = _is_affordable(reading, choice.updates)
    first, last = choice.updates
    usual = usual_window(all_events(reading.stamp, reading.run), choice.updates)
    part_box, window_box = st.columns(2, gap="large")
    keys = [key for key in choice.keys if key != WHOLE_MODEL]
    with part_box:
        key = pick_from_menu(
            "part",
            say("choose.part"),
            [WHOLE_MODEL, *keys],
            lambda one: _part_name(one, choice, whole),
            default=WHOLE_MODEL,
        )
    with window_box:
        update = pick_number("window", say("choose.window"), first, last, default=usual)
    if key != WHOLE_MODEL:
        return Part(choice.group(key), update)
    return Part(None if whole else _chosen(choice), update)


def build_up_part(reading: Reading, part: Part, choice: Choice) -> None:
    """Does accumulating add signal?"""
    show_picture("accumulation.build_up", draw_build_up(reading, part.group, choice))


def waterfall_part(reading: Reading, part: Part, choice: Choice) -> None:
    """One window that the reader chooses."""
    show_picture("accumulation.waterfall", draw_waterfall(reading, part.group, part.update, choice))


def over_time_part(reading: Reading, part: Part, choice: Choice) -> None:
    """Do micro-batches agree, and how much noise is there, over the whole run?"""
    few = Group(say_plain("accumulation.some_weights"), tuple(first_layers(reading)))
    wanted = [part.group, few]  # not what was chosen: what was read once is not read again
    sizes = [len(reading.layers) if one is None else len(one.layers) for one in wanted]
    place = next((place for place, size in enumerate(sizes) if is_readable(reading, size)), None)
    if place is None:
        st.header(say("accumulation.over_time.title"), anchor=False, help=say("accumulation.over_time.help"))
        st.info(say("accumulation.over_time_too_large"), icon=":material/data_usage:")
        return
    show_picture("accumulation.over_time", draw_noise_over_time(reading, wanted[place], choice.language))
    if place:
        st.caption(say("accumulation.over_time_fewer"))


def ledger_part(reading: Reading, part: Part, choice: Choice) -> None:
    """One row a window."""
    whole = ledger(reading, part.layers, choice.updates)
    few = few_windows(whole, LEDGER_WINDOWS)
    frame = few.frame.copy()
    frame["reset"] = frame["reset"].map({state: _reset_name(state) for state in set(frame["reset"])})
    outcome = frame["consumed"].map({True: "true", False: "false"}).where(~frame.pop("skipped"), "skipped")
    frame["consumed"] = outcome.map({one: say_plain(f"consumed.{one}") for one in set(outcome)})
    frame["clip"] = frame["clip"].where(abs(frame["clip"] - 1) > NO_CLIP)
    frame = frame.drop(columns=[name for name in RARE_COLUMNS if frame[name].isna().all()])
    columns = _ledger_columns(frame)
    for name, is_nan in {"loss": frame.pop("loss_is_nan"), "l2": frame["nonfinite"] > 0}.items():
        if is_nan.any():
            frame[name] = frame[name].map(number).where(frame[name].notna() | is_nan)
            columns |= written("ledger", **{name: SHORT_COLUMNS[name]})
    show_table("accumulation.ledger", frame, columns)
    if len(frame) < len(whole.frame):
        st.caption(say("accumulation.ledger_few", shown=len(frame), total=len(whole.frame)))


def _chosen(choice: Choice) -> Group:
    """Everything that was chosen, together."""
    if len(choice.series) == 1:
        return choice.series[0]
    return Group(say_plain("choose.part_layers"), choice.layers)


def _is_affordable(reading: Reading, updates: Span) -> bool:
    return len(reading.layers) * len(events(reading.stamp, reading.run, updates)) <= ROWS_AT_ONCE


def _part_name(key: str, choice: Choice, whole: bool) -> str:
    if key != WHOLE_MODEL:
        return choice.group(key).name
    return say_plain("choose.part_model" if whole else "choose.part_layers")


def _reset_name(state: str) -> str:
    return say_plain(f"reset.{state.replace(' ', '_')}")


def _is_under_way(reading: Reading) -> bool:
    """Whether the last window may still get micro-steps: it is not a short one yet."""
    phases = all_events(reading.stamp, reading.run)["phase"]
    return reading.run.state is RunState.LIVE and len(phases) > 0 and phases.iloc[-1] == "micro_step"


def _lengths(lengths: list[int]) -> str:
    """How often each observed window length occurs; of more than two the most usual ones."""
    if not lengths:
        return "–"
    counts = Counter(lengths)
    usual, times = counts.most_common(1)[0]
    if times == len(lengths):
        return str(usual)
    if times == len(lengths) - 1 and lengths[-1] != usual:
        return say_plain("accumulation.length_last", usual=usual, last=lengths[-1])
    shown = [f"{length} (×{count})" for length, count in counts.most_common(2)]
    return ", ".join([*shown, "…"] if len(counts) > 2 else shown)


def _resets(clean: int, stale: int) -> str:
    if not clean and not stale:
        return "–"
    if not stale:
        return say_plain("accumulation.all_clean")
    return say_plain("accumulation.not_reset", stale=stale, total=clean + stale)


def _ledger_columns(frame: pd.DataFrame) -> Columns:
    short = {
        name: (table_format(frame[name]), width) for name, width in SHORT_COLUMNS.items() if name in frame
    }
    return numbers(
        "ledger",
        update=("%d", 65),
        length=("%d", 90),
        edits=("%d", 60),
        nonfinite=("%d", 80),
        seconds=("%.2f", 75),  # a clock keeps its digits
        **short,
    ) | texts("ledger", consumed=85, reset=100)

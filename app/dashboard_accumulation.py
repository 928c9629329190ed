"""The parts of the accumulation page: what to show, the headline, the pictures, the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import streamlit as st
from dashboard_accumulation_pictures import draw_build_up, draw_sawtooth, draw_waterfall, ledger
from dashboard_columns import Columns, numbers, texts
from dashboard_reading import ROWS_AT_ONCE, Question, Reading, Span, events
from dashboard_sections import show_picture, table_height
from dashboard_widgets import pick_from_menu, pick_number, pick_one, pick_several, pick_span
from dashboard_words import language, printable, say, say_plain

from gradviz.analysis import STATISTICS, Sawtooth

MOST_LAYERS = 6  # lines that one picture can tell apart
FIRST_LAYERS = 3
FIRST_WINDOWS = 16  # windows shown until the reader chooses: as many teeth as a screen shows well
METRIC_WIDTH = 165  # five beside each other on a wide screen, two on a phone
WHOLE_MODEL = "*"
NO_CLIP = 1e-4  # closer to 1 it is rounding
RARE_COLUMNS = ("weight", "clip", "amp_scale")  # shown only where the run has them


@dataclass(frozen=True)
class Lengths:
    """How often each observed window length occurs."""

    lengths: tuple[int, ...]

    def __str__(self) -> str:
        if not self.lengths:
            return "–"
        counts = Counter(self.lengths)
        usual, times = counts.most_common(1)[0]
        if times == len(self.lengths):
            return str(usual)
        if times == len(self.lengths) - 1 and self.lengths[-1] != usual:
            return say_plain("accumulation.length_last", usual=usual, last=self.lengths[-1])
        return ", ".join(f"{length} (×{count})" for length, count in counts.most_common(3))


def ask(reading: Reading) -> Question:
    """The controls of the page."""
    first, last = reading.windows
    with st.container(border=True):
        layers_box, statistic_box, scale_box = st.columns([5, 3, 2], vertical_alignment="top")
        with layers_box:
            layers = pick_several(
                "layer",
                say("choose.layers"),
                reading.layers,
                default=_first_layers(reading),
                most=MOST_LAYERS,
                hint=say("choose.layers_help", most=MOST_LAYERS),
            )
        with statistic_box:
            statistic = pick_one(
                "statistic",
                say("choose.statistic"),
                STATISTICS,
                lambda one: say(f"statistic.{one}"),
                default="mean_abs",
            )
        with scale_box:
            scale = pick_one(
                "scale",
                say("choose.scale"),
                ("linear", "log"),
                lambda one: say(f"scale.{one}"),
                default="linear",
            )
        updates = pick_span(
            "windows",
            say("choose.windows"),
            first,
            last,
            default=_first_look(reading, tuple(layers)),
            hint=say("choose.windows_help"),
        )
    return Question(tuple(layers), statistic, scale == "log", updates, language(), reading.reach(updates))


def headline(reading: Reading, question: Question) -> None:
    """A few numbers of the whole run, each with its sentence."""
    frame = ledger(reading, question.layers, None).frame
    resets = Counter(frame["reset"])
    lengths = Lengths(tuple(int(length) for length in frame["length"]))
    shown = {
        "windows": str(len(frame)),
        "lengths": str(lengths),
        "resets": _resets(resets["clean"], resets["not reset"]),
        "nonfinite": str(int((frame["nonfinite"] > 0).sum())),
        "dropped": str(reading.run.dropped),
    }
    with st.container(horizontal=True, gap="medium"):
        for name, value in shown.items():
            st.metric(say(f"headline.{name}"), value, help=say(f"headline_help.{name}"), width=METRIC_WIDTH)


def sawtooth_part(reading: Reading, question: Question) -> None:
    """The picture, and what it leaves out."""
    picture = draw_sawtooth(reading, question)
    show_picture("accumulation.sawtooth", picture)
    teeth: list[Sawtooth] = picture.record
    thinned = next((one for one in teeth if one.windows_shown < one.windows_total), None)
    if thinned is not None:
        st.caption(say("accumulation.thinned", shown=thinned.windows_shown, total=thinned.windows_total))
    gaps = [gap for gap in reading.run.gaps if gap[1] >= gap[0]]
    if gaps:
        st.caption(say("accumulation.gaps", count=len(gaps)))


def choose_part(reading: Reading, question: Question) -> tuple[tuple[str, ...] | None, int]:
    """Which layers together (None: all; the chosen ones where the model is too big), and which window."""
    whole = _is_affordable(reading, question.updates)
    first, last = question.updates
    part_box, window_box = st.columns(2, gap="large")
    with part_box:
        part = pick_from_menu(
            "part",
            say("choose.part"),
            [WHOLE_MODEL, *question.layers],
            lambda one: _part_name(one, whole),
            default=WHOLE_MODEL,
        )
    with window_box:
        update = pick_number("window", say("choose.window"), first, last, default=last)
    if part != WHOLE_MODEL:
        return (part,), update
    return None if whole else question.layers, update


def build_up_part(reading: Reading, layers: tuple[str, ...] | None, question: Question) -> None:
    """Does accumulating add signal?"""
    show_picture("accumulation.build_up", draw_build_up(reading, layers, question))


def waterfall_part(reading: Reading, layers: tuple[str, ...] | None, update: int, question: Question) -> None:
    """One window that the reader chooses."""
    show_picture("accumulation.waterfall", draw_waterfall(reading, layers, update, question))


def ledger_part(reading: Reading, layers: tuple[str, ...] | None, question: Question) -> None:
    """One row a window."""
    frame = ledger(reading, layers, question.updates).frame.copy()
    frame["reset"] = [say_plain(f"reset.{state.replace(' ', '_')}") for state in frame["reset"]]
    outcome = frame["consumed"].map({True: "true", False: "false"}).where(~frame.pop("skipped"), "skipped")
    frame["consumed"] = [say_plain(f"consumed.{one}") for one in outcome]
    frame["clip"] = frame["clip"].where(abs(frame["clip"] - 1) > NO_CLIP)
    frame = frame.drop(columns=[name for name in RARE_COLUMNS if frame[name].isna().all()])
    st.dataframe(frame, hide_index=True, column_config=_ledger_columns(), height=table_height(len(frame)))


def _first_layers(reading: Reading) -> list[str]:
    """First, middle and last weight of the model: the spread of depths says more than three neighbours."""
    weights = [name for name in reading.layers if name.endswith("weight")]
    weights = weights if len(weights) >= FIRST_LAYERS else reading.layers
    places = [0, len(weights) // 2, len(weights) - 1]
    return list(dict.fromkeys(weights[place] for place in places if weights))


def _first_look(reading: Reading, layers: tuple[str, ...]) -> Span:
    """The last windows; of a run that broke before them, the windows around the first that is not finite."""
    first, last = reading.windows
    start = max(last - FIRST_WINDOWS + 1, first)
    frame = ledger(reading, layers, None).frame
    broken = frame.loc[frame["nonfinite"] > 0, "update"]
    if len(broken) and int(broken.iloc[0]) <= start:
        start = max(int(broken.iloc[0]) - FIRST_WINDOWS // 2, first)
    return start, min(start + FIRST_WINDOWS - 1, last)


def _is_affordable(reading: Reading, updates: Span) -> bool:
    return len(reading.layers) * len(events(reading.stamp, reading.run, updates)) <= ROWS_AT_ONCE


def _part_name(part: str, whole: bool) -> str:
    if part != WHOLE_MODEL:
        return printable(part)
    return say_plain("choose.part_model" if whole else "choose.part_layers")


def _resets(clean: int, stale: int) -> str:
    if not clean and not stale:
        return "–"
    if not stale:
        return say_plain("accumulation.all_clean")
    return say_plain("accumulation.not_reset", stale=stale, total=clean + stale)


def _ledger_columns() -> Columns:
    count, short = ("%d", 85), ("%.3g", 95)
    return numbers(
        "ledger",
        update=count,
        length=count,
        edits=count,
        nonfinite=count,
        residual=short,
        loss=short,
        lr=short,
        weight=short,
        clip=short,
        amp_scale=("%.0f", 95),
        seconds=("%.2f", 85),
        l2=short,
        coherence=("%.2f", 85),
    ) | texts("ledger", consumed=90, reset=110)

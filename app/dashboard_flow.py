"""The parts of the gradient-flow page: one moment of the run, all layers at it, the table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import streamlit as st
from dashboard_columns import numbers, texts
from dashboard_flow_pictures import draw_flow, draw_ridge
from dashboard_reading import Question, Reading, events
from dashboard_sections import show_picture, table_height
from dashboard_widgets import pick_from_menu, pick_number, pick_one
from dashboard_words import language, printable, say, say_plain

from gradviz.analysis import STATISTICS, LayerFlow

FEW = 12  # moments that fit in a row of buttons; a longer window gets a menu


@dataclass(frozen=True)
class Moment:
    """One event of a window: `name` is what the URL says, such as `reset`, `3`, `edit-3`, `update`."""

    name: str
    event: int
    update: int


def ask(reading: Reading) -> tuple[Moment | None, Question]:
    """The controls of the page."""
    first, last = reading.windows
    with st.container(border=True):
        window_box, statistic_box, scale_box = st.columns([5, 3, 2], vertical_alignment="top")
        with window_box:
            update = pick_number("window", say("choose.window"), first, last, default=last)
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
                ("log", "linear"),
                lambda one: say(f"scale.{one}"),
                default="log",
            )
        moment = _choose_moment(_moments(reading, update))
    return moment, Question((), statistic, scale == "log", (update, update), language(), (update, update))


def flow_part(reading: Reading, moment: Moment, question: Question) -> LayerFlow:
    """All layers in forward order at the moment."""
    picture = draw_flow(reading, moment.event, moment.update, question)
    show_picture("gradient_flow.picture", picture)
    record: LayerFlow = picture.record
    return record


def ridge_part(reading: Reading) -> None:
    """How many elements of one layer have which size, over the whole run."""
    names = reading.layers
    layer = pick_from_menu("spread", say("choose.layer"), names, printable, default=names[0])
    show_picture("gradient_flow.ridge", draw_ridge(reading, layer, language()))


def table_part(record: LayerFlow) -> None:
    """The same numbers, to sort and to search: a picture of a thousand layers hides single ones."""
    rows = [
        {
            "position": place,
            "layer": printable(layer),
            "accumulated": record.accumulated[place],
            "micro": record.micro[place],
            "maximum": record.maximum[place],
            "condition": _condition(record, place),
        }
        for place, layer in enumerate(record.layers)
    ]
    exact = ("%.3e", 150)
    columns = numbers("flow", position=("%d", 50), accumulated=exact, micro=exact, maximum=exact)
    columns |= texts("flow", layer=380, condition=180)
    st.dataframe(rows, hide_index=True, column_config=columns, height=table_height(len(rows)))


def _moments(reading: Reading, update: int) -> list[Moment]:
    rows = events(reading.stamp, reading.run, (update, update))
    seen: Counter[str] = Counter()
    moments = []
    for event, micro_step, phase in zip(rows["event"], rows["micro_step"], rows["phase"], strict=True):
        stem = {"reset": "reset", "update": "update", "edit": f"edit-{micro_step}"}.get(
            phase, str(micro_step)
        )
        seen[stem] += 1  # two optimizers make two updates of one window
        moments.append(Moment(stem if seen[stem] == 1 else f"{stem}~{seen[stem]}", int(event), update))
    return moments


def _choose_moment(moments: list[Moment]) -> Moment | None:
    if not moments:
        st.info(say("empty.window"), icon=":material/hourglass_empty:")
        return None
    names = [moment.name for moment in moments]
    pick = pick_one if len(names) <= FEW else pick_from_menu
    chosen = pick("moment", say("choose.moment"), names, _moment_label, default=_nearest(names))
    return next(moment for moment in moments if moment.name == chosen)


def _nearest(names: list[str]) -> str:
    """The window's last micro-step, which shows G_n and g_n; in a shorter window than asked for, too."""
    return next((name for name in reversed(names) if name.isdecimal()), names[-1])


def _moment_label(name: str) -> str:
    stem, _, again = name.partition("~")
    kind, _, k = stem.partition("-")
    label = say(f"moment.{kind}", k=k) if not kind.isdecimal() else say("moment.micro_step", k=kind)
    return f"{label} {again}".strip()


def _condition(record: LayerFlow, place: int) -> str:
    if not record.recorded[place]:
        return say_plain("condition.not_recorded")
    if record.nonfinite[place] < 0:
        return say_plain("condition.no_gradient")
    if record.nonfinite[place] > 0:
        return say_plain("condition.nonfinite", count=int(record.nonfinite[place]))
    return say_plain("condition.zero") if record.maximum[place] == 0 else say_plain("condition.finite")

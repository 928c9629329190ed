"""The parts that every page is made of: its head, its sections, and what stands there when nothing can."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import streamlit as st
from dashboard_columns import Columns
from dashboard_link import link_menu
from dashboard_reading import Picture
from dashboard_saving import draw_picture, picture_head
from dashboard_widgets import pick_one
from dashboard_words import Language, escape, language, literal, reason_of, say, say_plain

from gradviz.errors import GradvizError

if TYPE_CHECKING:
    import pandas as pd

FULL_ROWS = 12
UNKNOWN = "–"  # what stands in a cell without a value


@contextmanager
def page_head(name: str) -> Iterator[None]:
    """Title of a page and the question that it answers; the body draws between it and what every page has."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(say(f"{name}.title"), anchor=False, width="content")
        yield
        link_menu()
        _choose_language()
    st.caption(say(f"{name}.question"))


def _choose_language() -> None:
    """The choice becomes part of every link."""
    codes = get_args(Language)
    label = say("language.label")
    pick_one("lang", label, codes, lambda code: say(f"language.{code}"), default=language(), visible=False)


@contextmanager
def section(name: str, *, heading: bool = True) -> Iterator[None]:
    """One part of a page: what fails inside becomes a card, and the parts around it stay alive."""
    with st.container():
        if heading:
            st.header(say(f"{name}.title"), anchor=False, help=say(f"{name}.help"))
        try:
            yield
        except GradvizError as error:
            _card(say("error.refused", reason=reason_of(error)), error, level="warning")
        except OSError as error:
            _card(say("error.gone"), error, level="warning")
        except Exception as error:
            _card(say("error.failed"), error, level="error")


def show_picture(name: str, picture: Picture, **chart: Any) -> Any:
    """What the picture says in words, how to read it, how to save it, and the picture.

    `chart` is passed on to `st.plotly_chart`, whose answer is returned: the selection where `on_select` asks for one.
    """
    with picture_head(name, picture):
        st.header(escape(picture.title), anchor=False, help=say(f"{name}.help"), width="content")
    if picture.figure is None:
        st.info(literal(picture.sentence), icon=":material/info:")
        return None
    st.caption(literal(picture.sentence))
    return draw_picture(name, picture, **chart)


def show_table(name: str, rows: pd.DataFrame | Sequence[Mapping[str, object]], columns: Columns) -> None:
    """A table read aloud by its title; as high as its rows, until it scrolls: a page keeps its shape with thousands."""
    height = 36 * FULL_ROWS + 18 if len(rows) > FULL_ROWS else None  # half a row says that it scrolls
    st.dataframe(
        rows,
        hide_index=True,
        column_config=columns,
        height=height or "content",
        placeholder=UNKNOWN,
        alt=say_plain(f"{name}.title"),
    )


def snippet() -> None:
    """The ten lines that record a run, to copy."""
    st.caption(say("empty.snippet"))
    st.code(RECORD_SNIPPET, language="python")


def _card(sentence: str, error: Exception, *, level: str) -> None:
    show = st.warning if level == "warning" else st.error
    show(sentence, icon=":material/report:")
    with st.expander(say("error.details")):
        # st.code shows letters as they are: messages may quote names from a run folder.
        st.code("".join(traceback.format_exception(error)), language=None)


RECORD_SNIPPET = """\
import gradviz

with gradviz.watch(model, optimizer, accumulation_steps=4):      # the only new line
    for i, (inputs, labels) in enumerate(loader):
        loss = criterion(model(inputs), labels) / 4
        loss.backward()
        if (i + 1) % 4 == 0 or i + 1 == len(loader):
            optimizer.step()
            optimizer.zero_grad()
"""

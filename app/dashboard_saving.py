"""A picture on the page, and what can be taken away of it: PNG, SVG, and its numbers as CSV.

The browser makes the images: nothing is asked of a network, and the server needs no Chrome of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dashboard_view as view
import streamlit as st
from dashboard_first import rest_comes_later
from dashboard_reading import Picture
from dashboard_words import say, say_plain

from gradviz.analysis.tables import table_of, to_csv

IMAGES = ("png", "svg")
SHARPNESS = 2  # dots of a PNG for one of the screen
NAME_LENGTH = 80  # of a run in the name of a file
_HERE = Path(__file__).parent
_image_buttons = st.components.v2.component(
    "saving",
    html='<div class="images"></div>',
    js=(_HERE / "saving.js").read_text(encoding="utf-8"),
    css=(_HERE / "saving.css").read_text(encoding="utf-8"),
)


@contextmanager
def picture_head(name: str, picture: Picture) -> Iterator[None]:
    """The title, which the body draws, and beside it how to save the picture called `name`."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        yield
        if picture.figure is not None:
            _save_menu(name, picture)


def draw_picture(name: str, picture: Picture, **chart: Any) -> Any:
    """The chart itself, which has a figure; read aloud it is its title and its sentence."""
    selected = st.plotly_chart(
        picture.figure,
        key=name,
        config={"displaylogo": False, "toImageButtonOptions": _camera(name)},
        alt=f"{picture.title}. {picture.sentence}",
        **chart,
    )
    rest_comes_later()
    return selected


def file_stem(name: str) -> str:
    """The run and the picture, in letters that every file system takes."""
    run = "".join(
        letter if letter.isalnum() or letter in "._-" else "-" for letter in view.value("run") or ""
    )
    return "-".join(part for part in (run[:NAME_LENGTH].strip(".-"), *name.split(".")) if part)


def _save_menu(name: str, picture: Picture) -> None:
    with st.popover(say("save.label"), icon=":material/download:", type="tertiary", key=f"save.{name}"):
        st.download_button(
            say("save.table"),
            _csv_of(picture),
            file_name=f"{file_stem(name)}.csv",
            mime="text/csv",
            key=f"csv.{name}",
            icon=":material/table:",
            help=say("save.table_help"),
            on_click="ignore",
        )
        labels = {image: say_plain(f"save.{image}") for image in IMAGES}
        place = f"st-key-{name.replace('.', '-')}"  # as Streamlit marks the chart of this key
        _image_buttons(key=f"image.{name}", data={"place": place, "labels": labels})
        st.caption(say("save.image_help"))


def _csv_of(picture: Picture) -> Callable[[], str]:
    """Made when it is asked for."""
    return lambda: to_csv(table_of(picture.record))


def _camera(name: str) -> dict[str, object]:
    """What the camera in the corner of the picture saves."""
    return {"format": IMAGES[0], "filename": file_stem(name), "scale": SHARPNESS}

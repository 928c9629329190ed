"""Widgets whose value lives in the view, and so in the URL.

Before a widget is drawn its session key is set from the view; when the reader changes it, a callback
writes the view before the page runs. No widget therefore ever disagrees with the URL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import dashboard_view as view
import streamlit as st
from dashboard_words import say

Choice = TypeVar("Choice", bound=str)


def pick_one(
    name: str,
    label: str,
    options: Sequence[Choice],
    shown: Callable[[Choice], str],
    *,
    default: Choice,
    visible: bool = True,
) -> Choice:
    """A row of buttons, one pressed; pressing it again gives the default."""
    return _pick(st.segmented_control, name, label, options, shown, default, visible)


def pick_from_menu(
    name: str,
    label: str,
    options: Sequence[Choice],
    shown: Callable[[Choice], str],
    *,
    default: Choice,
    visible: bool = True,
) -> Choice:
    """A menu that can be searched by typing; names in it are shown as they are."""
    return _pick(st.selectbox, name, label, options, shown, default, visible)


def _pick(
    widget: Callable[..., object],
    name: str,
    label: str,
    options: Sequence[Choice],
    shown: Callable[[Choice], str],
    default: Choice,
    visible: bool,
) -> Choice:
    picked = _valid(name, options, default)
    st.session_state[_key(name)] = picked
    widget(
        label,
        options,
        key=_key(name),
        format_func=shown,
        label_visibility="visible" if visible else "collapsed",
        on_change=_adopt,
        args=(name, _as_text),
    )
    return picked


def pick_several(
    name: str,
    label: str,
    options: Sequence[str],
    *,
    default: Sequence[str],
    most: int,
    hint: str,
    shown: Callable[[str], str] = str,
) -> list[str]:
    """Several of many, at most `most`."""
    known = set(options)
    picked = [one for one in view.values(name) if one in known][:most] or list(default)
    st.session_state[_key(name)] = picked
    st.multiselect(
        label,
        options,
        key=_key(name),
        format_func=shown,
        max_selections=most,
        placeholder=say("choose.none"),
        help=hint,
        on_change=_adopt,
        args=(name, list),
    )
    return picked


def pick_span(
    name: str, label: str, first: int, last: int, *, default: tuple[int, int], hint: str
) -> tuple[int, int]:
    """A range of whole numbers inside first..last."""
    asked = view.span(name) or default
    low, high = (min(max(one, first), last) for one in asked)
    if first == last:
        return first, last
    _offer(name, (low, high), _as_span((low, high)))
    st.slider(label, first, last, key=_key(name), help=hint, on_change=_adopt, args=(name, _as_span))
    return low, high


def pick_number(
    name: str, label: str, first: int, last: int, *, default: int, hint: str | None = None
) -> int:
    """One whole number inside first..last."""
    asked = view.number(name)
    picked = min(max(default if asked is None else asked, first), last)
    if first == last:
        return first
    _offer(name, picked, str(picked))
    st.slider(label, first, last, key=_key(name), help=hint, on_change=_adopt, args=(name, _as_text))
    return picked


def type_text(name: str, label: str, placeholder: str) -> str:
    """One line of text."""
    typed = view.value(name) or ""
    st.session_state[_key(name)] = typed
    st.text_input(
        label,
        key=_key(name),
        placeholder=placeholder,
        max_chars=200,
        label_visibility="collapsed",
        on_change=_adopt,
        args=(name, _as_text),
    )
    return typed


def _valid(name: str, options: Sequence[Choice], default: Choice) -> Choice:
    asked = view.value(name)
    return next((option for option in options if option == asked), default)


def _key(name: str) -> str:
    return f"widget.{name}"


def _offer(name: str, value: object, text: str) -> None:
    """Set a slider; a default that follows a live run is noted, because the browser may echo it later."""
    st.session_state[_key(name)] = value
    if view.value(name) is None:
        st.session_state.setdefault("offered", {}).setdefault(name, set()).add(text)


def _adopt(name: str, to_text: Callable[[Any], str | list[str] | None]) -> None:
    chosen = to_text(st.session_state[_key(name)])
    is_echo = view.value(name) is None and chosen in st.session_state.get("offered", {}).get(name, ())
    if not is_echo:  # an echo taken for a choice would stop a live page from following its run
        view.touch(name, chosen)


def _as_text(chosen: object) -> str | None:
    return None if chosen is None or chosen == "" else str(chosen)


def _as_span(chosen: tuple[int, int]) -> str:
    return "-".join(str(end) for end in chosen)

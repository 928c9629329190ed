"""Columns of tables: head and help of `<table>.<name>` and `<table>_help.<name>` from the catalogue."""

from __future__ import annotations

from typing import Any

import streamlit as st
from dashboard_words import say, say_plain

Columns = dict[str, Any]  # Streamlit's own type has no public name


def texts(table: str, **widths: int) -> Columns:
    """Columns of words, with their widths in pixels."""
    return {
        name: st.column_config.TextColumn(_head(table, name), help=_help(table, name), width=width)
        for name, width in widths.items()
    }


def numbers(table: str, **shapes: tuple[str, int]) -> Columns:
    """Columns of numbers, with their printf formats and widths."""
    return {
        name: st.column_config.NumberColumn(
            _head(table, name), help=_help(table, name), format=shape, width=width
        )
        for name, (shape, width) in shapes.items()
    }


def written(table: str, **widths: int) -> Columns:
    """Columns of numbers that are texts already: a cell of numbers cannot say NaN."""
    return {
        name: st.column_config.TextColumn(
            _head(table, name), help=_help(table, name), width=width, alignment="right"
        )
        for name, width in widths.items()
    }


def picture(table: str, name: str, width: int) -> Columns:
    """A column of small images."""
    head = _head(table, name)
    return {name: st.column_config.ImageColumn(head, help=_help(table, name), width=width)}


def moments(table: str, name: str, width: int) -> Columns:
    """A column of times, in the time zone of the reader's browser."""
    column = st.column_config.DatetimeColumn(
        _head(table, name),
        help=_help(table, name),
        width=width,
        format="YYYY-MM-DD HH:mm",
        timezone=st.context.timezone,
    )
    return {name: column}


def _head(table: str, name: str) -> str:
    return say_plain(f"{table}.{name}")


def _help(table: str, name: str) -> str:
    return say(f"{table}_help.{name}")

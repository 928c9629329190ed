"""What the reader looks at, kept in the URL: a link opens the same view again.

The view is the one truth and widgets are copies of it. Streamlit's own `bind="query-params"` is not
used: it writes translated labels into the URL, and drops what the page at hand does not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import streamlit as st

PARAMETERS = (
    "lang",
    "run",
    "rank",
    "layer",
    "group",
    "arrange",
    "statistic",
    "scale",
    "windows",
    "window",
    "moment",
    "part",
    "spread",
    "filter",
    "sort",
    "page",
    "chapter",
    "n",
    "batch",
    "noise",
    "rate",
    "mistake",
    "seed",
    "show",
    "kind",
    "window2",
    "moment2",
    "runs",
    "by",
    "base",
    "other",
    "tolerance",
    "facts",
    "against",
    "depth",
    "order",
    "find",
    "match",
    "range",
    "rows",
    "from",
    "to",
    "updates",
)
MAX_VALUES = 16  # of one parameter: a URL is not a place for a thousand layers
MAX_LENGTH = 600  # of one value: a layer's name has at most 512 characters

_VIEW, _PUBLISHED, _TOUCHED = "view", "view.published", "view.touched"


def load() -> None:
    """Take over the URL when the reader changed it: a link, the back button, an edited address."""
    known, published, asked = _view(), _published(), _from_url()
    # A click may be sent before the browser has seen the URL of the click before it: the click wins.
    touched = st.session_state.get(_TOUCHED, False)
    # A page link of the navigation carries no parameters: the view goes along to the next page.
    if touched or not asked or asked == published:
        return
    for name in published.keys() - asked.keys():
        known.pop(name, None)
    known.update(asked)


def publish(*names: str) -> None:
    """Write the parameters that the page at hand uses into the URL."""
    shown = {name: values for name in names if (values := _view().get(name))}
    st.session_state[_PUBLISHED], st.session_state[_TOUCHED] = shown, False
    if shown != _from_url() or set(st.query_params) - set(shown):
        st.query_params.from_dict(shown)


def values(name: str) -> list[str]:
    """Every value of a parameter; empty when the reader chose none."""
    return list(_view().get(name, ()))


def value(name: str) -> str | None:
    """The first value of a parameter."""
    return next(iter(values(name)), None)


def number(name: str) -> int | None:
    """A parameter that should be a whole number, else None."""
    asked = value(name) or ""
    return int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 15 else None


def span(name: str) -> tuple[int, int] | None:
    """A parameter of the form `3-17`, else None."""
    first, _, last = (value(name) or "").partition("-")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 15 for part in (first, last)):
        return None
    return min(int(first), int(last)), max(int(first), int(last))


def keep(name: str, chosen: str | Iterable[str] | None) -> None:
    """Remember a choice; None or nothing forgets it."""
    several = [chosen] if isinstance(chosen, str) else list(chosen or ())
    if several:
        _view()[name] = several
    else:
        _view().pop(name, None)


def touch(name: str, chosen: str | Iterable[str] | None) -> None:
    """Remember a choice that the reader just made with a widget; it wins over the URL of this rerun."""
    keep(name, chosen)
    st.session_state[_TOUCHED] = True


def _view() -> dict[str, list[str]]:
    known: dict[str, list[str]] = st.session_state.setdefault(_VIEW, {})
    return known


def _published() -> Mapping[str, list[str]]:
    published: dict[str, list[str]] = st.session_state.setdefault(_PUBLISHED, {})
    return published


def _from_url() -> dict[str, list[str]]:
    asked = {name: st.query_params.get_all(name)[:MAX_VALUES] for name in PARAMETERS}
    return {
        name: [one[:MAX_LENGTH] for one in several if one] for name, several in asked.items() if any(several)
    }

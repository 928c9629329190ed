"""Names from a run on their way into a picture: shown verbatim, never as markup, a link or a formula."""

from __future__ import annotations

import re

HOVERED = 96  # letters of a name: a hover of more is wider than a window
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "%": "&#37;", "$": "&#36;"}
# Characters that turn the text around them, and control characters: shown as \u202e instead of obeyed.
_UNSEEN = re.compile("[\u0000-\u001f\u007f-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_INITIAL = re.compile(r"^(\D).*?(\d*)$", re.DOTALL)  # and the digits at the end of a part


def escape_plotly(name: str) -> str:
    """`name` so that Plotly shows it letter by letter.

    Plotly reads `<b>`, `<a href>` and entities in every text, `%{...}` in hover templates and `$...$` where
    MathJax is loaded. Control and direction characters are written out.
    """
    visible = _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", name)
    return "".join(_ENTITIES.get(letter, letter) for letter in visible)


def short_name(name: str, letters: int = 36) -> str:
    """The end of `name`, which tells layers apart, where it is longer than `letters`; escaped.

    It begins with a whole part of the name, unless that would drop more than half of what there is room for.
    """
    if len(name) <= letters:
        return escape_plotly(name)
    cut = len(name) - letters + 1
    part = name.find(".", cut - 1) + 1
    return escape_plotly(f"…{name[part if 0 < part <= cut + letters // 2 else cut :]}")


def axis_name(name: str, letters: int) -> str:
    """`name` at an axis: of its parts but the last, as many as do not fit become initials, which keep the numbers.

    Layers of a deep model differ in a number far from the end: `blocks.layers.0.linear1.weight`, `b.l.0.l1.weight`.
    """
    parts = name.split(".")
    for place, part in enumerate(parts[:-1]):
        if len(".".join(parts)) <= letters:
            break
        parts[place] = _INITIAL.sub(r"\1\2", part)
    return short_name(".".join(parts), letters)


def hovered_name(name: str) -> str:
    """`name` for a hover, which has room for it; escaped."""
    return short_name(name, HOVERED)

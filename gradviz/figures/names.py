"""Names from a run on their way into a picture: shown verbatim, never as markup, a link or a formula."""

from __future__ import annotations

import re

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "%": "&#37;", "$": "&#36;"}
# Characters that turn the text around them, and control characters: shown as \u202e instead of obeyed.
_UNSEEN = re.compile("[\u0000-\u001f\u007f-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def escape_plotly(name: str) -> str:
    """`name` so that Plotly shows it letter by letter.

    Plotly reads `<b>`, `<a href>` and entities in every text, `%{...}` in hover templates and `$...$` where
    MathJax is loaded. Control and direction characters are written out.
    """
    visible = _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", name)
    return "".join(_ENTITIES.get(letter, letter) for letter in visible)


def short_name(name: str, letters: int = 36) -> str:
    """The end of `name`, which tells layers apart, where it is longer than `letters`; escaped."""
    return escape_plotly(name if len(name) <= letters else f"…{name[1 - letters :]}")

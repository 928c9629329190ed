"""Colours: Paul Tol's bright set, told apart by colour-blind eyes, on white and on black.

Source: https://personal.sron.nl/~pault/ (Figure 1). Red is kept for what is wrong.
"""

from __future__ import annotations

BLUE, YELLOW, GREEN, CYAN, PURPLE, RED = "#4477AA", "#CCBB44", "#228833", "#66CCEE", "#AA3377", "#EE6677"
NEUTRAL = "#888888"  # contrast of at least 3.5 on white and on black
GRID = "rgba(128,128,128,0.22)"
LINES = (BLUE, YELLOW, PURPLE, CYAN, GREEN)


def faded(colour: str, opacity: float) -> str:
    """`colour` as rgba."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def line_colour(place: int) -> str:
    """The colour of the `place`-th layer; they repeat after five."""
    return LINES[place % len(LINES)]

"""Which process this is, without a system call: it is asked at every hook."""

from __future__ import annotations

import os

generation = 0
"""How often the line of processes that leads here has forked. A fork behind Python's back is not seen."""


def _count_in_child() -> None:
    global generation
    generation += 1


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_count_in_child)

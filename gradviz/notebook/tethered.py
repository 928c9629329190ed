"""Streamlit on a tether: it ends with the process that started it, however that one ends.

The parent holds the other end of this process's standard input. When it is gone, killed or not, reading ends.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # a thread cannot end its process in order, and there is nothing to be saved


def main() -> None:
    """Become `streamlit` with the arguments given."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

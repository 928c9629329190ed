"""A run in a notebook: the dashboard in a frame, or the report where no dashboard can be started.

Room rule: no heavy library of its own; the dashboard is a process beside the notebook's.
"""

from gradviz.notebook.showing import Shown, show

__all__ = ["Shown", "show"]

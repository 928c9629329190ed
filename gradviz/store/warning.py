"""What the writer's thread says to the user: once, and never as an exception."""

from __future__ import annotations

import logging
import warnings

from gradviz.errors import GradvizWarning


def warn(text: str) -> None:
    """Warn of something that was not recorded."""
    try:
        warnings.warn(text, GradvizWarning, stacklevel=3)
    except GradvizWarning:  # warnings are errors here, and nobody catches one on this thread
        logging.getLogger("gradviz").warning(text)

"""What `gradviz export` can write, by the words of the command line."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What other programs read."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


class Table(StrEnum):
    """What a run holds."""

    GRADIENTS = "gradients"
    EVENTS = "events"
    LAYERS = "layers"
    DISTRIBUTIONS = "distributions"

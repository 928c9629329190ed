"""The words and numbers that every room shares: phases, layers, one event on its way to the disk.

Imports nothing heavy: recording, store, analysis and the app all read from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_MARK = "gradviz-run"
FORMAT_VERSION = 1


class Phase(IntEnum):
    """What kind of moment an event is; the number is what the files hold."""

    RESET = 0
    MICRO_STEP = 1
    EDIT = 2
    UPDATE = 3


PHASES: tuple[str, ...] = tuple(phase.name.lower() for phase in Phase)
"""Names of the phases, in the order of their numbers: the categories of the column `phase`."""


class RunState(StrEnum):
    """How a run stands, as its heartbeat and its lock tell."""

    LIVE = "live"
    FINISHED = "finished"
    STOPPED = "stopped"  # Ctrl-C
    CRASHED = "crashed"  # an exception left the training loop
    SUPERSEDED = "superseded"  # the same model was watched again (a notebook cell run twice)
    INTERRUPTED = "interrupted"  # the process vanished without a word
    DAMAGED = "damaged"


class Level(StrEnum):
    """How bad a finding is. `error`: the training does not do what its author means it to do."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Layer:
    """One recorded parameter: a row of `Run.layers`.

    `name` is the dotted name from `named_parameters()`, escaped and capped at 512 characters;
    `shared_names` are the other names of a tied weight; `module_type` the class of the owning module.
    """

    layer_id: int
    name: str
    shape: tuple[int, ...]
    numel: int
    dtype: str
    module_type: str
    trainable: bool
    shared_names: tuple[str, ...] = ()


# Columns of `EventRecord.sums`: what one look at a gradient yields, before any rounding (float64).
# A negative NONFINITE means "no gradient" (None), and the other numbers of that tensor are then void.
L1, SQUARES, MAX, NONFINITE, ZEROS = range(5)  # of p.grad: sum |x|, sum x^2, max |x|, count, count
MICRO_L1, MICRO_SQUARES, MICRO_MAX, MICRO_NONFINITE = range(5, 9)  # of g_k, this backward's own share
PREVIOUS_SQUARES = 9  # sum x^2 of G_{k-1}; NaN where unknown. The cosine follows by polarisation
# Of the weights, at an update: sum w^2 before it, sum (dw)^2 of what it changed, and the fraction of elements
# that it left bit-identical although their gradient was not zero. NaN where unknown.
WEIGHT_SQUARES, STEP_SQUARES, UNCHANGED = range(10, 13)
SUMS_WIDTH = 13

# Columns of `EventRecord.counts`: how many elements of p.grad, as consumed, have |x| in which range. Elements
# that are not finite are in none of them (NONFINITE counts them); a row that begins with -1 had no gradient.
SMALLEST_NORMAL = -126  # of float32 and bfloat16, as a power of two; of float16 it is -14
LOWEST_EXPONENT, HIGHEST_EXPONENT = -64, 31  # one bin each: 2^e <= |x| < 2^(e + 1)
BIN_NAMES: tuple[str, ...] = (
    "zeros",
    f"below_2^{SMALLEST_NORMAL}",  # and not zero
    f"2^{SMALLEST_NORMAL}_to_2^{LOWEST_EXPONENT - 1}",  # these exponents together
    *(f"2^{exponent}" for exponent in range(LOWEST_EXPONENT, HIGHEST_EXPONENT + 1)),
    f"from_2^{HIGHEST_EXPONENT + 1}",
)
BINS = len(BIN_NAMES)
ZEROS_BIN, SUBNORMAL_BIN, TINY_BIN, FIRST_EXPONENT_BIN, HUGE_BIN = 0, 1, 2, 3, BINS - 1

Scalar = float | int | Callable[[], float]


class EventRecord(NamedTuple):
    """One event on its way from the recorder to the writer (a tuple: it is built on the training thread).

    `layer_ids` [P] int32 ascending; `sums` [P, SUMS_WIDTH] float64, or a callable that fetches it from
    the device and is called on the writer's thread only. `scalars` values may be such callables too.
    `numels` [P] int64 are the element counts that the means divide by. `counts` [P, BINS] int64 are the
    numbers of elements by binary exponent, at the updates that record them.
    """

    event: int
    update: int
    micro_step: int
    phase: Phase
    seconds: float
    layer_ids: NDArray[np.int32]
    numels: NDArray[np.int64]
    sums: NDArray[np.float64] | Callable[[], NDArray[np.float64]]
    scalars: Mapping[str, Scalar]
    counts: NDArray[np.int64] | Callable[[], NDArray[np.int64]] | None = None

"""What the numbers of a backward alone tell: of g_k, of G_k and of G_{k-1}, a row each of a slot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradviz.schema import L1, NONFINITE, SQUARES

Rows = NDArray[np.float64]
NO_GRADIENT = (0, 0, 0, -1, 0)
NOTHING = 1e-12  # of ||G_k||^2: a G_{k-1} so small would have left no trace in it either


def were_reset(standing: Rows, shares: Rows, before: Rows, rounded: list[int]) -> list[int]:
    """Rows whose G_k (`standing`) is g_k (`shares`) alone although G_{k-1} (`before`) was not 0.

    That is what `p.grad.data.zero_()` leaves, which leaves no trace.

    Of the `rounded`, in half precision, it cannot be told: a small G_{k-1} is lost in the rounding of G_k.
    """
    same = (standing[:, SQUARES] == shares[:, SQUARES]) & (standing[:, L1] == shares[:, L1])
    same &= (shares[:, NONFINITE] >= 0) & (before[:, SQUARES] > NOTHING * standing[:, SQUARES])
    same &= before[:, SQUARES] != 4 * standing[:, SQUARES]  # G_{k-1} = -2 g_k gives the same norms
    same[rounded] = False
    return list(np.flatnonzero(same))


def settle_repeated(fired: list[int], standing: Rows, shares: Rows, before: Rows) -> None:
    """Where g_k came in parts (re-entrant checkpoints: `fired` twice) it is known only if it is all of G_k."""
    slots, times = np.unique(fired, return_counts=True)
    for slot in slots[times > 1].tolist():
        whole = before[slot, NONFINITE] < 0
        shares[slot] = standing[slot] if whole else NO_GRADIENT

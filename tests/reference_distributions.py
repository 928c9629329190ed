"""Counts by exponent that are known: the frame of `Run.distributions()` for the tests of analysis and figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradviz.schema import BIN_NAMES, BINS

LAYERS = ("first.weight", "first.bias", "second.weight")


def reference_counts(update: int, layer: int) -> NDArray[np.int64]:
    """A bell that sinks by an exponent every ten updates and lies lower in later layers; some zeros and tiny ones."""
    exponents = np.arange(-64, 32)
    bell = 1000 * np.exp(-((exponents + 8 + 4 * layer + update / 10) ** 2) / 18)
    return np.concatenate([[120 + layer, update % 3, 5], bell, [0]]).astype(np.int64)


def reference_distributions(updates: int = 40, layers: tuple[str, ...] = LAYERS) -> pd.DataFrame:
    """One row an update and layer; events are 5 apart."""
    rows = [(5 * update + 4, update, layer) for layer in range(len(layers)) for update in range(updates)]
    counts = [reference_counts(update, layer) for _, update, layer in rows]
    frame = pd.DataFrame(np.array(counts, dtype=np.int64).reshape(-1, BINS), columns=list(BIN_NAMES))
    frame.insert(0, "layer", pd.Categorical([layers[row[2]] for row in rows], categories=list(layers)))
    frame.insert(0, "update", np.array([row[1] for row in rows], dtype=np.int32))
    frame.insert(0, "event", np.array([row[0] for row in rows], dtype=np.int64))
    return frame

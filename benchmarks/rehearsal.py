"""Events with the statistics of a real run, for any number of layers and as long as wanted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradviz.schema import (
    L1,
    MAX,
    MICRO_L1,
    MICRO_MAX,
    MICRO_NONFINITE,
    MICRO_SQUARES,
    NONFINITE,
    PREVIOUS_SQUARES,
    SQUARES,
    SUMS_WIDTH,
    ZEROS,
    EventRecord,
    Layer,
    Phase,
)
from gradviz.store import Run
from gradviz.store.columns import STATISTICS


class Rehearsal:
    """Endless events with the statistics of a real run, for any number of layers."""

    def __init__(self, run: Run, layers: int, seed: int = 0) -> None:
        rows = run.gradients(updates=(4, 19))
        table = run.layers.set_index("layer")
        events = rows["event"].nunique()
        columns = {name: rows[name].to_numpy(dtype=np.float64, na_value=0.0) for name in STATISTICS}
        numel = table["numel"].reindex(rows["layer"].astype(str)).to_numpy(dtype=np.float64)
        sums = np.full((len(rows), SUMS_WIDTH), np.nan)
        sums[:, L1], sums[:, MICRO_L1] = columns["mean_abs"] * numel, columns["micro_mean_abs"] * numel
        sums[:, SQUARES], sums[:, MICRO_SQUARES] = columns["l2"] ** 2, columns["micro_l2"] ** 2
        sums[:, MAX], sums[:, MICRO_MAX] = columns["max_abs"], columns["micro_max_abs"]
        sums[:, ZEROS] = columns["zeros"] * numel
        sums[:, NONFINITE] = np.where(rows["nonfinite"].isna(), -1, 0)
        sums[:, MICRO_NONFINITE] = np.where(rows["micro_nonfinite"].isna(), -1, 0)
        sums[:, PREVIOUS_SQUARES] = np.nan
        self.sums = sums.reshape(-1, events, SUMS_WIDTH).transpose(1, 0, 2)  # event, layer, sum
        _add_previous(self.sums, columns["cosine"].reshape(-1, events).T)
        first = rows.iloc[:events]
        self.shape_of_events = list(
            zip(first["update"] - first["update"].iloc[0], first["micro_step"], first["phase"], strict=True)
        )
        self.which = np.arange(layers) % self.sums.shape[1]
        self.numels = np.resize(table["numel"].to_numpy(dtype=np.int64), layers)
        self.layers = [
            Layer(i, f"blocks.{i // 12}.part_{i % 12}.weight", (1,), int(n), "float32", "Linear", True)
            for i, n in enumerate(self.numels)
        ]
        self.ids = np.arange(layers, dtype=np.int32)
        self.random = np.random.default_rng(seed)

    def events(self, count: int) -> Iterator[EventRecord]:
        windows = 1 + self.shape_of_events[-1][0]
        for event in range(count):
            again, at = divmod(event, len(self.shape_of_events))
            update, micro_step, phase = self.shape_of_events[at]
            sums = self.sums[at][self.which]
            factor = self.random.uniform(0.9, 1.1, size=(len(sums), 3))
            sums[:, [L1, SQUARES, MAX]] *= factor
            sums[:, [MICRO_L1, MICRO_SQUARES, MICRO_MAX]] *= factor[:, ::-1]
            scalars = {"loss": self.random.random(), "lr": 0.1} if phase == "micro_step" else {}
            yield EventRecord(
                event, int(update) + again * windows, int(micro_step), Phase[str(phase).upper()], event / 100,
                self.ids, self.numels, sums, scalars,
            )  # fmt: skip


def _add_previous(sums: np.ndarray, cosine: np.ndarray) -> None:
    """Sum of squares of G_{k-1} from those of G_k and g_k and their cosine: the root of a quadratic."""
    own = np.sqrt(sums[..., MICRO_SQUARES])
    root = np.sqrt(np.maximum(sums[..., SQUARES] - (1 - cosine**2) * own**2, 0)) - cosine * own
    sums[..., PREVIOUS_SQUARES] = np.where(np.isnan(cosine), np.nan, root**2)

"""What a recorder would have written of the toy: frames in the form of `Run.gradients()` and `Run.events()`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats
from gradviz.schema import PHASES, Phase

if TYPE_CHECKING:
    import pandas as pd

TOY_LAYER = "weight"


@dataclass
class ToyRows:
    """Events of the one layer of the toy, in order."""

    rate: float
    rows: list[dict[str, object]] = field(default_factory=list)

    def note(
        self,
        update: int,
        micro_step: int,
        phase: Phase,
        gradient: Floats | None,
        *,
        micro: Floats | None = None,
        loss: float = float("nan"),
    ) -> None:
        """One look at the gradient (None: cleared), and at this backward's own share."""
        before = None if micro is None or gradient is None else gradient - micro
        self.rows.append(
            {
                "event": len(self.rows),
                "update": update,
                "micro_step": micro_step,
                "phase": PHASES[phase],
                "cosine": float("nan") if micro is None or before is None else _cosine(before, micro),
                "seconds": float(len(self.rows)),
                "loss": loss,
                "lr": self.rate if phase is Phase.UPDATE else float("nan"),
            }
            | _statistics("", gradient)
            | _statistics("micro_", micro)
        )

    def gradients(self) -> pd.DataFrame:
        """One row an event, as `Run.gradients()` has them, in full precision."""
        import pandas as pd

        frame = self._frame().drop(columns=["seconds", "loss", "lr"])
        return frame.assign(layer=pd.Categorical([TOY_LAYER] * len(frame), categories=[TOY_LAYER]))

    def events(self) -> pd.DataFrame:
        """One row an event, as `Run.events()` has them."""
        return self._frame()[["event", "update", "micro_step", "phase", "seconds", "loss", "lr"]]

    def _frame(self) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(self.rows)
        counts = dict.fromkeys(("nonfinite", "micro_nonfinite"), "Int64")
        phases = pd.Categorical(frame["phase"], categories=list(PHASES))
        return frame.assign(phase=phases).astype(counts)


def _statistics(prefix: str, gradient: Floats | None) -> dict[str, object]:
    if gradient is None:
        names = ("mean_abs", "l2", "max_abs")
        return dict.fromkeys((prefix + name for name in names), float("nan")) | {f"{prefix}nonfinite": None}
    size = np.abs(gradient)
    return {
        f"{prefix}mean_abs": float(size.mean()),
        f"{prefix}l2": float(np.linalg.norm(gradient)),
        f"{prefix}max_abs": float(size.max()),
        f"{prefix}nonfinite": int((~np.isfinite(gradient)).sum()),
    }


def _cosine(one: Floats, other: Floats) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else float("nan")

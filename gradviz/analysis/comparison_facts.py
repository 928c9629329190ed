"""What several runs say of themselves, side by side: run.json, optimizers, layers, how far they went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gradviz.analysis.tables import table_of

if TYPE_CHECKING:
    import pandas as pd

    from gradviz.store import Run

Kind = Literal["run", "model", "recording", "optimizer", "layer"]
KINDS: dict[str, Kind] = {"model_class": "model", "training_modules": "model", "created": "run"}
UNTOLD = {
    "format",
    "name",
    "launch",
    "forward_order",
    "optimizers",
    "layers",
    "shards",
}  # ids, or told otherwise


@dataclass(frozen=True)
class Fact:
    """One thing that each run has a word for; None where a run says nothing of it."""

    kind: Kind
    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs do not all say the same."""
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class ComparedFacts:
    """Everything that `runs` say of themselves."""

    runs: tuple[str, ...]
    facts: tuple[Fact, ...]

    def differing(self) -> ComparedFacts:
        """Only what differs."""
        return ComparedFacts(self.runs, tuple(fact for fact in self.facts if fact.differs))


def compared_facts(runs: Sequence[Run], names: Sequence[str] | None = None) -> ComparedFacts:
    """The facts of each run; of layers, their shape, type and whether they are trained."""
    told = [dict(_facts(run)) for run in runs]
    keys = dict.fromkeys(key for facts in told for key in facts)
    order: list[Kind] = ["run", "model", "recording", "optimizer", "layer"]
    facts = [Fact(kind, name, tuple(one.get((kind, name)) for one in told)) for kind, name in keys]
    facts.sort(key=lambda fact: order.index(fact.kind))
    return ComparedFacts(tuple(names or (run.name for run in runs)), tuple(facts))


def _facts(run: Run) -> list[tuple[tuple[Kind, str], str]]:
    layers, metadata = run.layers, run.metadata
    known: list[tuple[Kind, str, object]] = [
        ("run", "state", run.state.value),
        ("run", "updates", _updates(run)),
        ("run", "dropped", run.dropped),
        ("run", "damaged", len(run.damaged)),
        ("run", "segments", len(set(run.segments["first_update"]))),
        ("recording", "ranks", len(run.ranks)),
        ("model", "layers", len(layers)),
        ("model", "elements", int(layers["numel"].sum())),
        ("model", "trainable", int(layers["trainable"].sum())),
    ]
    known += [
        (KINDS.get(key, "recording"), key, value) for key, value in metadata.items() if key not in UNTOLD
    ]
    known += _optimizers(metadata.get("optimizers"))
    columns = (layers[name] for name in ("layer", "shape", "dtype", "trainable"))
    known += [
        ("layer", str(name), _layer(shape, dtype, bool(trainable)))
        for name, shape, dtype, trainable in zip(*columns, strict=True)
    ]
    return [((kind, name), _word(value)) for kind, name, value in known if value is not None]


def _updates(run: Run) -> int | None:
    """How many windows there are; the reset that ends a run is none."""
    if run.updates is None:
        return None
    first, last = run.updates
    return last - first + int((run.events(updates=(last, last))["phase"] != "reset").any())


def _optimizers(told: object) -> list[tuple[Kind, str, object]]:
    """`lr`, `momentum`, ... of each optimizer; the second and later ones with their number."""
    facts: list[tuple[Kind, str, object]] = []
    for place, optimizer in enumerate(told if isinstance(told, list) else ()):
        if isinstance(optimizer, Mapping):
            stem = "" if place == 0 else f"{place + 1}."
            settings = optimizer.get("settings")
            facts.append(("optimizer", f"{stem}class", optimizer.get("class")))
            facts.append(("optimizer", f"{stem}fused", optimizer.get("fused")))
            facts += [
                ("optimizer", f"{stem}{name}", value)
                for name, value in (settings.items() if isinstance(settings, Mapping) else ())
            ]
    return facts


def _layer(shape: Sequence[int], dtype: str, trainable: bool) -> str:
    return f"{'×'.join(map(str, shape)) or '1'} {dtype}{'' if trainable else ', frozen'}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


@table_of.register(ComparedFacts)
def _(record: ComparedFacts) -> pd.DataFrame:
    import pandas as pd

    rows = [(fact.kind, fact.name, *fact.values, fact.differs) for fact in record.facts]
    return pd.DataFrame(rows, columns=["kind", "fact", *_unique(record.runs), "differs"])


def _unique(names: Sequence[str]) -> list[str]:
    """Two runs of one name need two columns."""
    return [
        name if list(names).count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, 1)
    ]

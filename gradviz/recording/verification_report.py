"""What a verification of gradient accumulation found: numbers and codes; the words come when it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gradviz.texts import text

_LAYERS_SHOWN = 12
_ENTRIES_SHOWN = 8


@dataclass(frozen=True)
class LayerDifference:
    """How the accumulated gradient of one parameter differs from the reference.

    `error`: L2 of the difference over L2 of the reference; a layer whose reference is under 1 % of what a
    layer of its size has on average is measured against that 1 % (a bias before a normalisation has a
    gradient of rounding errors). `cosine` between the two, and `factor`, the multiple of the reference
    that comes nearest to the accumulated gradient; NaN where the reference is zero.
    """

    layer: str
    error: float
    cosine: float
    factor: float


@dataclass(frozen=True)
class Cause:
    """Why the gradients differ: a code, and the numbers and names that say so.

    `not-divided`, `divided-twice`, `scaled`, `unequal-tokens`, `other-samples`, `reset-inside-window`,
    `edited-inside-window`, `batchnorm`, `dropout`, `nonfinite`, `unexplained`.
    """

    code: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class AccumulationReport:
    """Whether a window of micro-steps leaves the gradient of one large batch, layer by layer, and if not, why.

    `error`, `cosine` and `factor` are those of all layers together, as in `LayerDifference`. `ok` means
    that no error, neither of a layer nor of all, is above `tolerance`. `layers` come worst first.
    """

    ok: bool
    tolerance: float
    micro_steps: int
    error: float
    cosine: float
    factor: float
    layers: tuple[LayerDifference, ...]
    causes: tuple[Cause, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain numbers, strings, lists and dictionaries."""
        return asdict(self)

    def text(self, language: str = "en") -> str:
        """The verdict, the causes with what to do, and a table of the layers that differ most."""
        return "\n".join([*self.sentences(language), "", *self._table(language)])

    def sentences(self, language: str = "en") -> Iterator[str]:
        """The verdict, then each cause and what to do about it."""
        yield text(
            "verification.equal" if self.ok else "verification.different",
            language,
            micro_steps=self.micro_steps,
            error=self.error,
            cosine=self.cosine,
            factor=self.factor,
            tolerance=self.tolerance,
        )
        for cause in self.causes:
            numbers = {name: _shown(value) for name, value in cause.evidence.items()}
            yield text(f"verification.cause.{cause.code}.why", language, **numbers)
            yield text(f"verification.cause.{cause.code}.remedy", language, **numbers)

    def _table(self, language: str) -> Iterator[str]:
        shown = self.layers[:_LAYERS_SHOWN]
        headings = [
            text(f"verification.table.{name}", language) for name in ("error", "cosine", "factor", "layer")
        ]
        yield "{:>10}  {:>10}  {:>10}  {}".format(*headings)
        for layer in shown:
            yield f"{layer.error:10.2e}  {layer.cosine:10.6f}  {layer.factor:10.4g}  {layer.layer}"
        if len(self.layers) > len(shown):
            yield text("verification.table.more", language, count=len(self.layers) - len(shown))

    def __str__(self) -> str:
        return self.text()


def _shown(value: Any) -> Any:
    """Lists as words, the first of many; numbers stay numbers, for the template to format."""
    if not isinstance(value, list | tuple):
        return value
    words = [
        f"{entry:.4g}" if isinstance(entry, float) else "?" if entry is None else str(entry)
        for entry in value
    ]
    return ", ".join([*words[:_ENTRIES_SHOWN], *(["..."] if len(words) > _ENTRIES_SHOWN else [])]) or "-"

"""What a run is, in a dozen facts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gradviz.reporting.markup import Html, element
from gradviz.texts import text

if TYPE_CHECKING:
    from gradviz.analysis import RunStory
    from gradviz.store import Run

LENGTHS = 4  # of windows that are told apart


def facts_of(run: Run, story: RunStory, language: str) -> Html:
    """Facts with something to say, as a list of terms."""
    metadata = run.metadata
    facts = {
        "state": _state(run, language),
        "created": _created(metadata.get("created")),
        "model": str(metadata.get("model_class") or ""),
        "layers": _layers(run, language),
        "windows": _windows(story, language),
        "lengths": _lengths(story, language),
        "ranks": ", ".join(map(str, run.ranks)) if len(run.ranks) > 1 else "",
        "dropped": str(run.dropped) if run.dropped else "",
        "damaged": "\n".join(part.reason for part in run.damaged),
        "torch": str(metadata.get("torch_version") or ""),
        "folder": run.path.name,  # not its path: a report travels
    }
    terms = [
        piece
        for name, fact in facts.items()
        if fact
        for piece in (element("dt", text(f"report.fact.{name}", language)), element("dd", fact))
    ]
    return element("dl", *terms, class_="facts")


def _created(said: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(said)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):  # a manifest may come from anywhere
        return ""


def _state(run: Run, language: str) -> str:
    state = text(f"app.state.{run.state.value}", language)
    if not run.reason:
        return state
    return text("report.value.state_reason", language, state=state, reason=run.reason)


def _layers(run: Run, language: str) -> str:
    layers = run.layers
    elements = f"{int(layers['numel'].sum()):,}"
    return text("report.value.layers", language, count=len(layers), elements=elements)


def _windows(story: RunStory, language: str) -> str:
    consumed = int((story.consumed & ~story.skipped).sum())
    return text("report.value.windows", language, observed=len(story.update), consumed=consumed)


def _lengths(story: RunStory, language: str) -> str:
    common = Counter(map(int, story.length)).most_common(LENGTHS)
    comma = text("figure.word.comma", language)
    lengths = comma.join(
        text("report.value.length", language, length=length, times=times) for length, times in common
    )
    if story.declared is None or not lengths:
        return lengths
    return text("report.value.declared", language, lengths=lengths, declared=story.declared)

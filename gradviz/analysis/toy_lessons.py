"""What each mistake does to the toy, in numbers: measured in a training of its own, with no other mistake in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gradviz.analysis.accumulation_toy import AccumulationToy, accumulation_toy
from gradviz.analysis.toy_loop import LONG, Mistake

EXACT = 1e-9  # a gap below it is rounding


@dataclass(frozen=True)
class ToyLesson:
    """One thing to be seen: `code` names the sentence, `numbers` are what it says."""

    code: str
    numbers: dict[str, float] = field(default_factory=dict)
    is_wrong: bool = True


def toy_lessons(toy: AccumulationToy) -> list[ToyLesson]:
    """That the loop is right, or what each of its mistakes does alone and what they do together."""
    loop = toy.loop
    if toy.gap <= EXACT:
        numbers = {"samples": float(loop.micro_steps * loop.batch), "gap": toy.gap}
        unseen = [ToyLesson(f"unseen_{mistake}", {}, is_wrong=False) for mistake in sorted(loop.mistakes)]
        return [ToyLesson("right", numbers, is_wrong=False), *unseen]
    lessons = [_lesson(mistake, toy) for mistake in Mistake if mistake in loop.mistakes]
    if is_diverging(toy):
        lessons.append(ToyLesson("diverges", {"start": _loss(toy, 0), "end": _loss(toy, -1)}))
    return lessons


def is_diverging(toy: AccumulationToy) -> bool:
    """Whether the loop ends with a larger loss than it began with, though the large batch does not."""
    start = _loss(toy, 0)
    return not _loss(toy, -1) <= start and toy.everything.loss(toy.reference[-1]) <= start


def _lesson(mistake: Mistake, toy: AccumulationToy) -> ToyLesson:
    alone = toy if toy.loop.mistakes == {mistake} else accumulation_toy(toy.loop.only(mistake))
    if alone.gap <= EXACT:
        return ToyLesson(f"unseen_{mistake}", {}, is_wrong=False)
    measure = {
        Mistake.DIVISION: _division,
        Mistake.RESET: _reset,
        Mistake.SHORT: _short,
        Mistake.TOKENS: _tokens,
    }
    return ToyLesson(mistake.value, measure[mistake](alone))


def _division(toy: AccumulationToy) -> dict[str, float]:
    factor = float(np.median(toy.sizes))
    return {"factor": factor, "rate": toy.loop.rate, "effective": factor * toy.loop.rate}


def _reset(toy: AccumulationToy) -> dict[str, float]:
    last = toy.gradients[toy.gradients["phase"] == "reset"].iloc[-2]  # the last one is after the training
    return {
        "windows": float(len(toy.consumed)),
        "stale": float(last["l2"]),
        "consumed": float(np.linalg.norm(toy.consumed[-1])),
        "wanted": float(np.linalg.norm(toy.wanted[-1])),
    }


def _short(toy: AccumulationToy) -> dict[str, float]:
    short = toy.length == toy.loop.tail
    factor = float(np.median(toy.sizes[short]))
    return {"tail": float(toy.loop.tail), "full": float(toy.loop.micro_steps), "factor": factor}


def _tokens(toy: AccumulationToy) -> dict[str, float]:
    return {
        "short": float(toy.loop.batch),
        "long": float(toy.loop.batch * LONG),
        "weight": float(LONG),
        "apart": float(np.linalg.norm(toy.aim - toy.minimum)),
    }


def _loss(toy: AccumulationToy, place: int) -> float:
    return toy.everything.loss(toy.weights[place])

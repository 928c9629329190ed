"""The toy's loop as PyTorch code with the reader's mistakes in it, and the update that it makes as a formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradviz.analysis.toy_loop import EPOCHS, Mistake, ToyLoop

Part = Literal["plain", "wrong", "right"]


@dataclass(frozen=True)
class CodeLine:
    """One line: as it runs and is right (`plain`), as it runs and is `wrong`, or as it should be (`right`)."""

    code: str
    part: Part


def toy_code(loop: ToyLoop) -> list[CodeLine]:
    """The loop; each wrong line is followed by the right one, a forgotten line stands alone."""
    wrong = loop.mistakes
    return [
        _plain(0, f"for epoch in range({EPOCHS}):"),
        _plain(1, f"for window in chunks(loader, {loop.micro_steps}):"),
        *_tokens(Mistake.TOKENS in wrong),
        _plain(2, "for inputs, labels in window:"),
        *_loss(Mistake.TOKENS in wrong),
        *_backward(loop),
        _plain(2, "optimizer.step()"),
        CodeLine(_indented(2, "optimizer.zero_grad()"), "right" if Mistake.RESET in wrong else "plain"),
    ]


def as_text(lines: list[CodeLine]) -> str:
    """The lines as a listing; with mistakes in them as a diff, from what runs to what should run."""
    if all(line.part == "plain" for line in lines):
        return "\n".join(line.code for line in lines)
    signs = {"plain": " ", "wrong": "-", "right": "+"}
    return "\n".join(f"{signs[line.part]} {line.code}" for line in lines)


def _tokens(are_unequal: bool) -> list[CodeLine]:
    count = "tokens = sum(labels.numel() for _, labels in window)"
    return [CodeLine(_indented(2, count), "right")] if are_unequal else []


def _loss(are_unequal: bool) -> list[CodeLine]:
    mean = _indented(3, "loss = loss_fn(model(inputs), labels)")
    if not are_unequal:
        return [CodeLine(mean, "plain")]
    total = _indented(3, 'loss = loss_fn(model(inputs), labels, reduction="sum")')
    return [CodeLine(mean, "wrong"), CodeLine(total, "right")]


def _backward(loop: ToyLoop) -> list[CodeLine]:
    wrong = loop.mistakes
    right = "(loss / tokens).backward()" if Mistake.TOKENS in wrong else "(loss / len(window)).backward()"
    runs = "(loss / len(window)).backward()"
    if Mistake.SHORT in wrong:
        runs = f"(loss / {loop.micro_steps}).backward()"
    if Mistake.DIVISION in wrong:
        runs = "loss.backward()"
    if runs == right:
        return [_plain(3, runs)]
    return [CodeLine(_indented(3, runs), "wrong"), CodeLine(_indented(3, right), "right")]


def _plain(depth: int, code: str) -> CodeLine:
    return CodeLine(_indented(depth, code), "plain")


def _indented(depth: int, code: str) -> str:
    return "    " * depth + code

"""The spellings of a loss that are tested: cross entropies, elementwise criteria, by hand, with factors, as sums."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from loss_spellings import (
    CLASS_WEIGHTS,
    IGNORING,
    LABELS,
    MASK,
    MASK_2D,
    PROBABILITIES,
    ROW_WEIGHTS,
    TOKENS_IGNORING,
    VALUES,
    Loss,
    Spelling,
    criteria,
    entries_of,
    kl_by_hand,
    nll_by_hand,
    pixels,
    rows_of,
    smooth_by_hand,
)

FOUR = torch.tensor(4)


def cross_entropies() -> Iterator[Spelling]:
    hand = nll_by_hand
    yield Spelling("ce mean", lambda v: F.cross_entropy(v, LABELS), hand)
    yield Spelling("ce sum", lambda v: F.cross_entropy(v, LABELS, reduction="sum"), hand)
    yield Spelling("ce sum / n", lambda v: F.cross_entropy(v, LABELS, reduction="sum") / 24, hand)
    yield Spelling("ce none mean", lambda v: F.cross_entropy(v, LABELS, reduction="none").mean(), hand)
    yield Spelling("ce none sum", lambda v: F.cross_entropy(v, LABELS, reduction="none").sum(), hand)
    masked = lambda v: F.cross_entropy(v, LABELS, reduction="none") * MASK  # noqa: E731
    yield Spelling("ce masked mean", lambda v: masked(v).sum() / MASK.sum(), hand)
    yield Spelling("ce masked, over the window", lambda v: masked(v).sum() / 19, hand)
    yield Spelling("ce masked, mean over all", lambda v: masked(v).mean(), hand)
    chosen = lambda v: F.cross_entropy(v, LABELS, reduction="none")[MASK.bool()]  # noqa: E731
    yield Spelling("ce chosen mean", lambda v: chosen(v).mean(), hand)
    yield Spelling("ce chosen sum", lambda v: chosen(v).sum() / 3, hand)
    ignored = lambda v, **k: F.cross_entropy(v, IGNORING, **k)  # noqa: E731
    yield Spelling("ce ignoring mean", lambda v: ignored(v), hand)
    yield Spelling("ce ignoring sum", lambda v: ignored(v, reduction="sum") / 7, hand)
    yield Spelling("ce ignoring none mean", lambda v: ignored(v, reduction="none").mean(), hand)
    yield Spelling("ce ignoring none masked", lambda v: (ignored(v, reduction="none") * MASK).sum() / 9, hand)
    other = IGNORING.where(IGNORING >= 0, 3)
    yield Spelling("ce ignore_index=3", lambda v: F.cross_entropy(v, other, ignore_index=3) / 4, _with(other))
    smooth = {"label_smoothing": 0.1}
    for reduction in ("mean", "sum"):
        yield Spelling(
            f"ce smooth {reduction}",
            lambda v, r=reduction: F.cross_entropy(v, LABELS, reduction=r, **smooth) / 4,
            smooth_by_hand,
        )
        yield Spelling(
            f"ce smooth ignoring {reduction}",
            lambda v, r=reduction: F.cross_entropy(v, IGNORING, reduction=r, **smooth) / 4,
            smooth_by_hand,
        )
        yield Spelling(
            f"ce class weights {reduction}",
            lambda v, r=reduction: F.cross_entropy(v, IGNORING, weight=CLASS_WEIGHTS, reduction=r) / 4,
            hand,
        )
    yield Spelling(
        "ce smooth none mean",
        lambda v: F.cross_entropy(v, IGNORING, reduction="none", **smooth).mean(),
        smooth_by_hand,
    )
    yield Spelling("nll", lambda v: F.nll_loss(v.log_softmax(1), LABELS), hand)
    yield Spelling("nll of pixels", lambda v: F.cross_entropy(pixels(v), LABELS.view(2, 3)) / 4, hand)
    yield Spelling(
        "nll of pixels, ignoring, sum / 5",
        lambda v: F.cross_entropy(pixels(v), TOKENS_IGNORING, reduction="sum") / 5,
        _with(TOKENS_IGNORING.flatten()),
    )
    yield Spelling(
        "nll of pixels none, mean of rows",
        lambda v: F.cross_entropy(pixels(v), TOKENS_IGNORING, reduction="none").mean(1).mean() / 4,
        _with(TOKENS_IGNORING.flatten()),
    )
    yield Spelling("picked by hand", lambda v: -v.log_softmax(1)[range(6), LABELS].mean(), hand)
    yield Spelling(
        "gathered", lambda v: -v.log_softmax(1).gather(1, LABELS[:, None]).squeeze(1).mean() / 4, hand
    )
    one_hot = F.one_hot(LABELS, 5).double()
    yield Spelling("one hot", lambda v: -(v.log_softmax(1) * one_hot).sum(1).mean(), hand)
    yield Spelling("one hot, all at once", lambda v: -(v.log_softmax(1) * one_hot).sum() / 6 / 4, hand)
    weighted = lambda v: F.cross_entropy(v, LABELS, reduction="none") * ROW_WEIGHTS  # noqa: E731
    yield Spelling("ce weights of samples", lambda v: weighted(v).mean(), hand)
    expected = rows_of(lambda v: -PROBABILITIES * v.log_softmax(1))
    yield Spelling("soft targets", lambda v: F.cross_entropy(v, PROBABILITIES) / 4, expected)
    yield Spelling(
        "soft targets sum", lambda v: F.cross_entropy(v, PROBABILITIES, reduction="sum") / 24, expected
    )
    yield Spelling(
        "no target at all", lambda v: F.cross_entropy(v, torch.full((6,), -100), reduction="sum"), hand
    )


def _with(labels: torch.Tensor) -> Loss:
    """Cross entropy by hand with other labels; those that are ignored stand for class 0."""
    return lambda v: -v.log_softmax(1)[range(6), labels.clamp(min=0)]


def elementwise() -> Iterator[Spelling]:
    for name, loss, elements in criteria():
        each, row = entries_of(elements), rows_of(elements)
        yield Spelling(f"{name} mean", lambda v, f=loss: f(v) / 4, each)
        yield Spelling(f"{name} sum", lambda v, f=loss: f(v, reduction="sum"), each)
        yield Spelling(f"{name} sum / entries", lambda v, f=loss: f(v, reduction="sum") / 30 / 4, each)
        yield Spelling(f"{name} sum / batch", lambda v, f=loss: f(v, reduction="sum") / 6 / 4, row)
        yield Spelling(f"{name} sum / 11", lambda v, f=loss: f(v, reduction="sum") / 11, each)
        yield Spelling(f"{name} none mean", lambda v, f=loss: f(v, reduction="none").mean(), each)
        yield Spelling(f"{name} none rows", lambda v, f=loss: f(v, reduction="none").sum(1).mean() / 4, row)
        yield Spelling(
            f"{name} masked", lambda v, f=loss: (f(v, reduction="none") * MASK_2D).sum() / MASK_2D.sum(), each
        )
        yield Spelling(
            f"{name} where",
            lambda v, f=loss: torch.where(MASK_2D.bool(), f(v, reduction="none"), 0.0).sum() / 7,
            each,
        )
        yield Spelling(
            f"{name} filled",
            lambda v, f=loss: f(v, reduction="none").masked_fill(MASK_2D.bool(), 0.0).mean(),
            each,
        )
    bce = lambda v, **k: F.binary_cross_entropy_with_logits(v, VALUES, **k)  # noqa: E731
    plain = entries_of(lambda v: bce(v, reduction="none"))
    yield Spelling("bce weight", lambda v: bce(v, weight=VALUES), plain)
    yield Spelling("bce weight none", lambda v: bce(v, weight=VALUES, reduction="none").mean(), plain)
    boosted = entries_of(lambda v: bce(v, reduction="none", pos_weight=CLASS_WEIGHTS))
    yield Spelling("bce pos_weight", lambda v: bce(v, pos_weight=CLASS_WEIGHTS) / 4, boosted)
    kl = lambda v, **k: F.kl_div(v.log_softmax(1), PROBABILITIES, **k)  # noqa: E731
    yield Spelling("kl batchmean", lambda v: kl(v, reduction="batchmean") / 4, rows_of(kl_by_hand))
    yield Spelling("kl sum", lambda v: kl(v, reduction="sum"), rows_of(kl_by_hand))
    logs = PROBABILITIES.log()
    yield Spelling(
        "kl of logs",
        lambda v: F.kl_div(v.log_softmax(1), logs, reduction="batchmean", log_target=True),
        rows_of(kl_by_hand),
    )


def by_hand() -> Iterator[Spelling]:
    square = entries_of(lambda v: (VALUES - v) ** 2)
    rows = rows_of(lambda v: (VALUES - v) ** 2)
    mean = lambda v: ((VALUES - v) ** 2).mean()  # noqa: E731
    total = lambda v: ((VALUES - v) ** 2).sum()  # noqa: E731
    yield Spelling("squares mean", mean, square)
    yield Spelling("squares sum / entries", lambda v: total(v) / v.numel(), square)
    yield Spelling("squares sum / batch", lambda v: total(v) / len(v), rows)
    yield Spelling("squares sum / other", lambda v: total(v) / 17, square)
    yield Spelling("squares mean of means", lambda v: ((VALUES - v) ** 2).mean(1).mean(), square)
    yield Spelling("squares mean over both", lambda v: ((VALUES - v) ** 2).mean((0, 1)) / 4, square)
    yield Spelling("squares sum of sums", lambda v: ((VALUES - v) ** 2).sum(1).sum() / 30, square)
    yield Spelling("squares sum of means", lambda v: ((VALUES - v) ** 2).mean(1).sum() / 6, square)
    yield Spelling("squares transposed", lambda v: ((VALUES - v) ** 2).T.reshape(-1).mean(), square)
    yield Spelling("divided inside", lambda v: ((VALUES - v) ** 2 / 4).mean(), square)
    yield Spelling(
        "absolute", lambda v: (v - VALUES).abs().mean() * 3, entries_of(lambda v: (v - VALUES).abs())
    )
    yield Spelling(
        "hinge", lambda v: (9 - v * 2).clamp(min=0).mean(), entries_of(lambda v: (9 - v * 2).clamp(min=0))
    )
    yield Spelling("critic", lambda v: -(v @ v[0].detach()).mean(), lambda v: -(v @ v[0].detach()))
    yield Spelling("root", lambda v: mean(v).sqrt(), square)
    yield Spelling("root, by hand", lambda v: torch.sqrt(mean(v) + 1e-8) / 4, square)
    yield Spelling(
        "divided before",
        lambda v: (((VALUES - v) / 2) ** 2).mean(),
        entries_of(lambda v: ((VALUES - v) / 2) ** 2),
    )
    yield Spelling("repeated", lambda v: mean(v).expand(5).sum(), square)
    yield Spelling("spread", lambda v: (mean(v) * MASK).sum() / 4, square)
    yield Spelling("one number of one", lambda v: mean(v).reshape(1).mean() / 4, square)
    yield Spelling("one of one", lambda v: mean(v).reshape(1)[0] / 4, square)


def factors() -> Iterator[Spelling]:
    hand, ce = nll_by_hand, lambda v: F.cross_entropy(v, LABELS)
    yield Spelling("/ 4", lambda v: ce(v) / 4, hand)
    yield Spelling("* 0.25", lambda v: ce(v) * 0.25, hand)
    yield Spelling("0.25 *", lambda v: 0.25 * ce(v), hand)
    yield Spelling("/ tensor", lambda v: ce(v) / FOUR, hand)
    yield Spelling("tensor *", lambda v: torch.tensor(0.25) * ce(v), hand)
    yield Spelling("* tensor of one", lambda v: ce(v) * torch.tensor([0.25]), hand)
    yield Spelling("twice", lambda v: ce(v) / 4 * 3 / FOUR, hand)
    yield Spelling("in place", lambda v: ce(v).div_(4).mul_(0.5), hand)
    yield Spelling("+ constant", lambda v: (ce(v) + 1.0) / 4, hand)
    yield Spelling("constant +", lambda v: (torch.tensor(2.0) + ce(v)) / 4, hand)
    yield Spelling("constant -", lambda v: 1 - ce(v) / 4, hand)
    yield Spelling(
        "- constant tensor, scaled", lambda v: torch.sub(torch.tensor(1.0), ce(v), alpha=0.3), hand
    )
    yield Spelling("sum()", lambda v: sum([ce(v)]) / 4, hand)
    yield Spelling("flooding", lambda v: (ce(v) - 0.1).abs() + 0.1, hand)
    yield Spelling("one over", lambda v: 1 / ce(v), hand)
    yield Spelling("squared", lambda v: ce(v) ** 2, hand)
    yield Spelling("product of two", lambda v: ce(v) * ce(v), hand)
    yield Spelling("rounded", lambda v: torch.div(ce(v), 0.5, rounding_mode="trunc") + ce(v), hand)
    yield Spelling("scaled", lambda v: ce(v) / 4 * torch.tensor(65536.0), hand, amp_scale=65536.0)
    yield Spelling(
        "scaled sum", lambda v: F.cross_entropy(v, LABELS, reduction="sum") * 1024.0, hand, amp_scale=1024.0
    )


def sums() -> Iterator[Spelling]:
    hand, ce = nll_by_hand, lambda v: F.cross_entropy(v, LABELS)
    z_loss = lambda v: v.logsumexp(1) ** 2  # noqa: E731
    yield Spelling("the same loss twice", lambda v: (lambda c: c / 2 + c)(ce(v)), hand)
    yield Spelling(
        "two that weigh alike", lambda v: (ce(v) + z_loss(v).mean()) / 4, lambda v: hand(v) + z_loss(v)
    )
    yield Spelling(
        "two that do not", lambda v: ce(v) + 0.1 * z_loss(v).mean(), lambda v: torch.cat([hand(v), z_loss(v)])
    )
    yield Spelling("a part unknown", lambda v: ce(v) + 0 * v.sum().tanh(), hand)
    halves = lambda v: torch.cat([hand(v)[:3], hand(v)[3:]])  # noqa: E731
    first = lambda v: F.cross_entropy(v[:3], LABELS[:3])  # noqa: E731
    second = lambda v: F.cross_entropy(v[3:], LABELS[3:])  # noqa: E731
    yield Spelling("two micro-batches", lambda v: (first(v) + second(v)) / 2, halves)
    yield Spelling("two stacked", lambda v: torch.stack([first(v), second(v)]).mean(), halves)
    yield Spelling("two stacked, summed", lambda v: torch.stack([first(v), second(v)]).sum() / 4, halves)
    yield Spelling("difference", lambda v: first(v) - second(v), halves)


SPELLINGS = [*cross_entropies(), *elementwise(), *by_hand(), *factors(), *sums()]

"""The loops that people write: whole event lists, and every number against gradients taken by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from loop_story import ListWriter, N, batches, ends, expected, make_model, record, rows, run, scalars
from torch import nn

from gradviz.errors import GradvizWarning
from gradviz.recording.statistics import PLAIN, load_kernels
from gradviz.schema import L1, MICRO_NONFINITE, NONFINITE, PREVIOUS_SQUARES, SQUARES, EventRecord, Phase

RIGHT = ["r0", "m0.1", "m0.2", "m0.3", "u0.3", "r1", "m1.1", "m1.2", "m1.3", "u1.3", "r2", "m2.1", "u2.1"]


def zero_before_and_after(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    for i, x in enumerate(batches()):
        (model(x).square().mean() / N).backward()
        if ends(i):
            optimizer.step()
            optimizer.zero_grad()


def zero_at_the_top(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches()):
        if i % N == 0:
            optimizer.zero_grad()
        (model(x).square().mean() / N).backward()
        if ends(i):
            optimizer.step()


def zero_of_the_model(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches()):
        (model(x).square().mean() / N).backward()
        if ends(i):
            optimizer.step()
            model.zero_grad()


def zero_in_place(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches()):
        (model(x).square().mean() / N).backward()
        if ends(i):
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)


def none_by_hand(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches()):
        (model(x).square().mean() / N).backward()
        if ends(i):
            optimizer.step()
            for parameter in model.parameters():
                parameter.grad = None


def data_zero_by_hand(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches()):
        (model(x).square().mean() / N).backward()
        if ends(i):
            optimizer.step()
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.grad.data.zero_()


def list_of_losses(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches()):
        out = model(x)
        torch.autograd.backward([out.square().mean() / N, out.abs().mean()])
        if ends(i):
            optimizer.step()
            optimizer.zero_grad()


LOOPS = [
    zero_before_and_after,
    zero_at_the_top,
    zero_of_the_model,
    zero_in_place,
    none_by_hand,
    data_zero_by_hand,
    list_of_losses,
]


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_right_loops_give_the_same_story(loop: Callable[..., None]) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    loop(model, optimizer)
    recorder.close()
    closing = [] if loop is zero_at_the_top else ["r3"]
    assert [label for label in writer.labels() if label != "r3"] == RIGHT
    assert writer.labels()[-1:] == (closing or ["r3"]), "at close: what was left after the last update"
    assert [event.event for event in writer.events] == list(range(len(writer.events)))
    assert writer.errors == []


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_a_clean_reset_is_none_or_zero(loop: Callable[..., None]) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    loop(model, optimizer)
    for event in writer.of(Phase.RESET):
        cleared = rows(event)
        assert (cleared[:, L1] == 0).all()
        in_place = loop in (zero_in_place, data_zero_by_hand) and event.update > 0
        assert (cleared[:, NONFINITE] == (0 if in_place else -1)).all(), "None is not 0"
    recorder.close()


Gradients = list[torch.Tensor]


def taken_by_hand(inputs: Gradients, dtype: torch.dtype) -> list[tuple[Gradients, Gradients]]:
    """g_k and G_k of each micro-step, from separate `autograd.grad` calls and plain addition."""
    model = make_model().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    story = []
    for i, x in enumerate(inputs):
        own = torch.autograd.grad(model(x.to(dtype)).square().mean() / N, list(model.parameters()))
        for parameter, g in zip(model.parameters(), own, strict=True):
            parameter.grad = g.clone() if parameter.grad is None else parameter.grad + g
        story.append((list(own), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
        if ends(i):
            optimizer.step()
            optimizer.zero_grad()
    return story


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_every_number_of_a_loop(dtype: torch.dtype) -> None:
    model = make_model().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    for i, x in enumerate(batches()):
        (model(x.to(dtype)).square().mean() / N).backward()
        if ends(i):
            optimizer.step()
            optimizer.zero_grad()
    recorder.close()
    by_hand = taken_by_hand(batches(), dtype)
    for event, (own, accumulated) in zip(writer.of(Phase.MICRO_STEP), by_hand, strict=True):
        for row, g, big in zip(rows(event), own, accumulated, strict=True):
            np.testing.assert_allclose(row[:4], expected(big)[:4], rtol=1e-6)
            np.testing.assert_allclose(row[5:9], expected(g)[:4], rtol=1e-6)
            assert np.isnan(row[PREVIOUS_SQUARES]) == (dtype is torch.bfloat16), (
                "of what is rounded no cosine follows"
            )


def test_a_short_window_shifts_no_later_label() -> None:
    def two_epochs(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        zero_of_the_model(model, optimizer)
        zero_of_the_model(model, optimizer)

    windows = [
        " ".join([f"r{u}", *(f"m{u}.{k + 1}" for k in range(n)), f"u{u}.{n}"])
        for u, n in enumerate([3, 3, 1] * 2)
    ]
    assert " ".join(run(two_epochs).labels()) == " ".join([*windows, "r6"])


def test_the_cosine_follows_from_the_norms() -> None:
    model = make_model()
    recorder, writer = record(model)
    for x in batches(3):
        (model(x).square().mean()).backward()
    recorder.close()
    story = taken_by_hand(batches(3), torch.float32)
    for k in (1, 2):
        for slot, row in enumerate(rows(writer.of(Phase.MICRO_STEP)[k])):
            g, before = story[k][0][slot].double() * N, story[k - 1][1][slot].double() * N
            wanted = float((g * before).sum() / (g.norm() * before.norm()))
            dot = (row[SQUARES] - row[PREVIOUS_SQUARES] - row[6]) / 2
            assert dot / np.sqrt(row[PREVIOUS_SQUARES] * row[6]) == pytest.approx(wanted, abs=1e-5)


def test_scalars_ride_on_the_right_events() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    recorder, writer = record(model, optimizer)
    recorder.log(samples=4, tokens=torch.tensor(7))
    loss = model(batches(1)[0]).square().mean()
    loss.backward()
    model(batches(1)[0]).square().mean().backward()
    recorder.log(loss=0.5)
    model(batches(1)[0]).square().mean().backward()
    optimizer.step()
    recorder.close()
    micro: list[EventRecord] = writer.of(Phase.MICRO_STEP)
    audited = {"loss_weight": 1 / 8, "loss_reduction": 1, "loss_elements": 8, "lr": 0.25}
    assert micro[0].scalars == audited | {"loss": loss.item(), "samples": 4.0, "tokens": 7.0}
    assert set(micro[1].scalars) == {"loss", *audited}
    assert micro[2].scalars == audited | {"loss": 0.5}, "what the user says goes before what is read"
    assert scalars(writer.of(Phase.UPDATE)[0]) == pytest.approx({"lr": 0.25, "clip_coefficient": 1.0})


def story_of(loop: Callable[..., None]) -> ListWriter:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    loop(model, optimizer)
    recorder.close()
    return writer


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_without_numba_the_story_is_the_same(
    loop: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = story_of(loop)
    monkeypatch.setattr("gradviz.recording.watching.load_kernels", lambda: PLAIN)
    plain = story_of(loop)
    assert plain.labels() == fast.labels()
    assert plain.errors == []
    for a, b in zip(plain.events, fast.events, strict=True):
        np.testing.assert_allclose(rows(a), rows(b), rtol=1e-6)
        assert scalars(a) == pytest.approx(scalars(b), rel=1e-6)


@pytest.mark.parametrize(
    ("error", "warned"), [(ImportError("no numba"), False), (RuntimeError("no folder to cache in"), True)]
)
def test_kernels_that_cannot_be_had_are_done_without(
    error: Exception, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled() -> None:
        raise error

    monkeypatch.setattr("gradviz.recording.statistics._compiled", compiled)
    if warned:
        with pytest.warns(GradvizWarning, match="no folder to cache in.*slower"):
            assert load_kernels() == PLAIN
    else:
        assert load_kernels() == PLAIN


def test_without_micro_gradients_the_rest_is_the_same() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for i, x in enumerate(batches()):
            model(x).square().mean().backward()
            if ends(i):
                optimizer.step()
                optimizer.zero_grad()

    whole, accumulated = run(body), run(body, micro=False)
    assert accumulated.labels() == whole.labels()
    assert accumulated.facts["forward_order"] == whole.facts["forward_order"]
    for a, b in zip(accumulated.events, whole.events, strict=True):
        np.testing.assert_allclose(rows(a)[:, :5], rows(b)[:, :5], rtol=1e-6)
        assert (rows(a)[:, MICRO_NONFINITE] == -1).all()

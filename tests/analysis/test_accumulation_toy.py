"""The toy against its own definition, written out slowly in float64: gradients sample by sample, loops by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradviz.analysis import build_up, sawtooth, waterfall
from gradviz.analysis.accumulation_toy import AccumulationToy, accumulation_toy
from gradviz.analysis.tables import table_of
from gradviz.analysis.toy_code import as_text, toy_code
from gradviz.analysis.toy_lessons import toy_lessons
from gradviz.analysis.toy_loop import EPOCHS, LONG, START, WINDOWS, Mistake, ToyLoop, Window, toy_windows
from gradviz.analysis.toy_path import toy_path
from gradviz.analysis.toy_rows import TOY_LAYER
from gradviz.schema import PHASES

Vector = NDArray[np.float64]
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def loop_of(*mistakes: Mistake, **choices: float) -> ToyLoop:
    return ToyLoop(mistakes=frozenset(mistakes), **choices)  # type: ignore[arg-type]


def rows_of(window: Window) -> list[tuple[Vector, float]]:
    return [(x, float(y)) for batch in window for x, y in zip(batch.inputs, batch.labels, strict=True)]


def slow_gradient(rows: list[tuple[Vector, float]], weights: Vector) -> Vector:
    """The mean over rows of the gradient of (x·w - y)² / 2, one row after the other."""
    total = np.zeros(2)
    for x, y in rows:
        error = float(x[0] * weights[0] + x[1] * weights[1] - y)
        total += np.array([error * x[0], error * x[1]])
    return total / len(rows)


def mean_of_means(window: Window, weights: Vector) -> Vector:
    return np.mean([slow_gradient(rows_of((batch,)), weights) for batch in window], axis=0)


def descended(loop: ToyLoop, gradient: object) -> Vector:
    path = [START]
    for window in toy_windows(loop):
        path.append(path[-1] - loop.rate * gradient(window, path[-1]))  # type: ignore[operator]
    return np.array(path)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 16),
    batch=st.sampled_from([1, 2, 4, 16]),
    noise=st.floats(0, 2),
    seed=st.integers(0, 999),
)
def test_a_right_loop_is_one_large_batch(n: int, batch: int, noise: float, seed: int) -> None:
    toy = accumulation_toy(loop_of(micro_steps=n, batch=batch, noise=noise, seed=seed, rate=0.0625))
    np.testing.assert_allclose(toy.weights, toy.reference, **CLOSE)
    np.testing.assert_allclose(toy.consumed, toy.wanted, rtol=1e-10, atol=1e-12)
    assert [lesson.code for lesson in toy_lessons(toy)] == ["right"]


def test_the_large_batch_is_that_of_the_definition() -> None:
    loop = loop_of(Mistake.TOKENS, Mistake.RESET)
    slow = descended(loop, lambda window, weights: slow_gradient(rows_of(window), weights))
    np.testing.assert_allclose(accumulation_toy(loop).reference, slow, **CLOSE)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_without_the_division_each_update_is_n_times_too_large(n: int) -> None:
    toy = accumulation_toy(loop_of(Mistake.DIVISION, micro_steps=n))
    np.testing.assert_allclose(toy.consumed, n * toy.wanted, rtol=1e-9)
    np.testing.assert_allclose(toy.sizes, n, rtol=1e-9)


def test_a_learning_rate_divided_by_n_hides_the_missing_division() -> None:
    wrong = accumulation_toy(loop_of(Mistake.DIVISION, micro_steps=4, rate=0.0625))
    right = accumulation_toy(loop_of(micro_steps=4, rate=0.25))
    np.testing.assert_allclose(wrong.weights, right.weights, **CLOSE)


def test_without_zero_grad_every_update_consumes_all_windows_so_far() -> None:
    loop = loop_of(Mistake.RESET)
    toy = accumulation_toy(loop)
    own = [mean_of_means(window, w) for window, w in zip(toy_windows(loop), toy.weights, strict=False)]
    np.testing.assert_allclose(toy.consumed, np.cumsum(own, axis=0), **CLOSE)
    steps = np.diff(toy.weights, axis=0)  # momentum 1: each step is the last one and a new push
    np.testing.assert_allclose(steps[1:], steps[:-1] - loop.rate * np.array(own[1:]), **CLOSE)


@pytest.mark.parametrize(("n", "tail"), [(2, 1), (4, 2), (5, 2), (16, 8)])
def test_a_short_window_divided_by_n_counts_less(n: int, tail: int) -> None:
    toy = accumulation_toy(loop_of(Mistake.SHORT, micro_steps=n))
    assert toy.length.tolist() == ([n] * (WINDOWS - 1) + [tail]) * EPOCHS
    np.testing.assert_allclose(toy.consumed, toy.wanted * (toy.length / n)[:, None], rtol=1e-9, atol=1e-12)


def test_unequal_tokens_take_the_mean_of_means_to_another_minimum() -> None:
    loop = loop_of(Mistake.TOKENS)
    toy = accumulation_toy(loop)
    assert {len(batch.labels) for window in toy_windows(loop) for batch in window} == {4, 4 * LONG}
    np.testing.assert_allclose(toy.weights, descended(loop, mean_of_means), **CLOSE)
    epoch = toy_windows(loop)[:WINDOWS]
    everywhere = [row for window in epoch for row in rows_of(window)]
    drift = sum(mean_of_means(window, toy.aim) for window in epoch)
    np.testing.assert_allclose(drift, 0, atol=1e-10)
    np.testing.assert_allclose(slow_gradient(everywhere, toy.minimum), 0, atol=1e-12)
    assert np.linalg.norm(slow_gradient(everywhere, toy.aim)) > 0.1


def test_mistakes_add_up() -> None:
    loop = loop_of(*Mistake, micro_steps=3)
    toy = accumulation_toy(loop)
    total, expected = np.zeros(2), []
    for window, weights in zip(toy_windows(loop), toy.weights, strict=False):
        total = total + sum(slow_gradient(rows_of((batch,)), weights) for batch in window)
        expected.append(total)
    np.testing.assert_allclose(toy.consumed, expected, rtol=1e-9, atol=1e-9)


def test_the_noise_scale_is_that_of_its_definition() -> None:
    toy = accumulation_toy(loop_of())
    rows = [row for window in toy_windows(toy.loop)[:WINDOWS] for row in rows_of(window)]
    each = np.array([slow_gradient([row], START) for row in rows])
    mean = each.mean(axis=0)
    trace = np.mean([np.sum((one - mean) ** 2) for one in each])
    assert toy.noise_scale(START) == pytest.approx(trace / np.sum(mean**2), rel=1e-12)


def test_the_rows_are_those_of_a_recorder() -> None:
    toy = accumulation_toy(loop_of(Mistake.SHORT, Mistake.RESET))
    rows = toy.gradients
    assert list(rows["phase"].cat.categories) == list(PHASES)
    assert rows["event"].tolist() == list(range(len(rows)))
    teeth = sawtooth(rows, layer=TOY_LAYER, statistic="l2", events=toy.events)
    assert teeth.windows_total == WINDOWS * EPOCHS
    assert teeth.stale_total == WINDOWS * EPOCHS - 1
    consumed = rows.loc[rows["phase"] == "update", "l2"]
    np.testing.assert_allclose(consumed, np.linalg.norm(toy.consumed, axis=1), rtol=1e-12)
    micro = rows[rows["phase"] == "micro_step"]
    assert (micro["mean_abs"] <= micro["max_abs"]).all()
    assert waterfall(rows, update=4, layer=TOY_LAYER).after[-1] == pytest.approx(consumed.iloc[4])


@pytest.mark.parametrize("mistake", [None, Mistake.DIVISION])
def test_the_build_up_of_a_right_loop_counts_every_window(mistake: Mistake | None) -> None:
    mistakes = () if mistake is None else (mistake,)
    record = build_up(accumulation_toy(loop_of(*mistakes, noise=0.0)).gradients, layer=TOY_LAYER)
    assert (record.used, record.total) == (WINDOWS * EPOCHS, WINDOWS * EPOCHS)
    assert record.k.tolist() == [1, 2, 3, 4]


def test_lessons_say_what_was_measured() -> None:
    lessons = {one.code: one.numbers for one in toy_lessons(accumulation_toy(loop_of(*Mistake)))}
    assert lessons["division"]["factor"] == pytest.approx(4)
    assert lessons["division"]["effective"] == pytest.approx(1)
    assert lessons["short"] == pytest.approx({"tail": 2, "full": 4, "factor": 0.5})
    assert lessons["tokens"]["weight"] == LONG
    alone = accumulation_toy(loop_of(Mistake.RESET))
    assert lessons["reset"]["consumed"] == pytest.approx(np.linalg.norm(alone.consumed[-1]))
    assert lessons["reset"]["stale"] == pytest.approx(np.linalg.norm(alone.consumed[-2]))


def test_a_window_of_one_hides_what_it_cannot_show() -> None:
    hidden = (Mistake.DIVISION, Mistake.SHORT, Mistake.TOKENS)
    lessons = toy_lessons(accumulation_toy(loop_of(*hidden, micro_steps=1)))
    codes = ["right", *sorted(f"unseen_{one}" for one in hidden)]
    assert [one.code for one in lessons] == codes
    mixed = toy_lessons(accumulation_toy(loop_of(Mistake.RESET, Mistake.SHORT, micro_steps=1)))
    assert [one.code for one in mixed] == ["reset", "unseen_short"]


def test_a_divergence_is_said() -> None:
    codes = [one.code for one in toy_lessons(accumulation_toy(loop_of(Mistake.DIVISION, micro_steps=16)))]
    assert codes == ["division", "diverges"]


@pytest.mark.parametrize("mistakes", [(), *((one,) for one in Mistake), tuple(Mistake)])
def test_the_code_that_is_shown_is_the_code_that_runs(mistakes: tuple[Mistake, ...]) -> None:
    """The shown lines, run on numpy in place of torch, consume what the toy consumes."""
    loop = loop_of(*mistakes, micro_steps=3)
    toy = accumulation_toy(loop)
    for kept, expected in (({"plain", "wrong"}, toy.weights), ({"plain", "right"}, toy.reference)):
        lines = toy_code(loop)
        runs = [line.code for line in lines if line.part in kept]
        np.testing.assert_allclose(imitated(loop, "\n".join(runs)), expected, rtol=1e-9, atol=1e-9)


class Imitation:
    """Model, optimizer and loss in one: as much of torch as the shown code uses."""

    def __init__(self, loop: ToyLoop) -> None:
        self.loop, self.weights, self.gradient, self.path = loop, START, np.zeros(2), [START]

    def step(self) -> None:
        self.weights = self.weights - self.loop.rate * self.gradient
        self.path.append(self.weights)

    def zero_grad(self) -> None:
        self.gradient = np.zeros(2)

    def loss_fn(self, inputs: Vector, labels: Labels, reduction: str = "mean") -> Loss:
        rows = list(zip(inputs, labels.values, strict=True))
        return Loss(self, slow_gradient(rows, self.weights) * (len(rows) if reduction == "sum" else 1))


class Labels:
    def __init__(self, values: Vector) -> None:
        self.values = values

    def numel(self) -> int:
        return len(self.values)


class Loss:
    def __init__(self, owner: Imitation, gradient: Vector) -> None:
        self.owner, self.gradient = owner, gradient

    def __truediv__(self, divisor: int) -> Loss:
        return Loss(self.owner, self.gradient / divisor)

    def backward(self) -> None:
        self.owner.gradient = self.owner.gradient + self.gradient


def imitated(loop: ToyLoop, code: str) -> Vector:
    own = Imitation(loop)
    batches = [[(one.inputs, Labels(one.labels)) for one in window] for window in toy_windows(loop)]
    epochs = iter([batches[first : first + WINDOWS] for first in range(0, len(batches), WINDOWS)])
    names = {
        "chunks": lambda _loader, _n: next(epochs),
        "loader": None,
        "model": lambda inputs: inputs,
        "loss_fn": own.loss_fn,
        "optimizer": own,
    }
    exec(compile(code, "toy", "exec"), names)  # noqa: S102 - the code that the page shows
    return np.array(own.path)


def test_a_listing_without_mistakes_is_plain_and_one_with_mistakes_a_diff() -> None:
    assert as_text(toy_code(loop_of())).startswith("for epoch in")
    listing = as_text(toy_code(loop_of(Mistake.DIVISION, Mistake.RESET)))
    assert "-             loss.backward()\n+             (loss / len(window)).backward()" in listing
    assert listing.endswith("+         optimizer.zero_grad()")


@pytest.mark.parametrize("mistakes", [(), tuple(Mistake)])
def test_the_surface_is_the_loss_of_all_rows(mistakes: tuple[Mistake, ...]) -> None:
    toy = accumulation_toy(loop_of(*mistakes))
    path = toy_path(toy)
    for y, x in ((0, 0), (10, 40), (80, 80)):
        at = np.array([path.first[x], path.second[y]])
        losses = [(float(r @ at) - label) ** 2 / 2 for r, label in zip_rows(toy)]
        assert path.height[y, x] ** 2 + path.least == pytest.approx(np.mean(losses), rel=1e-9)
    assert path.leaves == bool(mistakes)
    frame = table_of(path)
    assert frame["loss"].tolist() == path.loss.tolist()
    assert len(frame) == WINDOWS * EPOCHS + 1


def zip_rows(toy: AccumulationToy) -> list[tuple[Vector, float]]:
    return list(zip(toy.everything.inputs, toy.everything.labels.tolist(), strict=True))

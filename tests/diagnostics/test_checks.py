"""Rules of single checks at their limits, on stories whose every number is known. Real trainings are in tests/zoo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradviz.analysis.folding import Edits
from gradviz.analysis.story import RunStory
from gradviz.diagnostics import CHECKS, Finding, Level
from gradviz.diagnostics.examining import examine_story
from gradviz.diagnostics.findings import MissingEvidence
from gradviz.diagnostics.loss_weights import consumption, loss_weights
from tests.made_stories import Vector, made_story

N = 4


def noisy(windows: int, *, n: int = N, layers: int = 2, seed: int = 0) -> list[list[list[Vector]]]:
    """Micro-gradients with signal and noise."""
    rng = np.random.default_rng(seed)
    return [[[1 + rng.normal(size=6) for _ in range(layers)] for _ in range(n)] for _ in range(windows)]


def weighed(story: RunStory, weight: float, elements: float = 8) -> RunStory:
    """The story, each element of its loss with this weight."""
    count = len(story.micro.window)
    micro = replace(
        story.micro, loss_weight=np.full(count, weight), loss_elements=np.full(count, float(elements))
    )
    return replace(story, micro=micro)


def consumed(story: RunStory, factors: Vector) -> RunStory:
    """The story, each window's sum multiplied by its factor before it was consumed."""
    layers = replace(story.layers, consumed=(story.layers.accumulated * factors).astype(np.float32))
    return replace(story, layers=layers)


def found(story: RunStory, code: str) -> Finding | None:
    findings = CHECKS[code](story)
    assert len(findings) <= 1
    return findings[0] if findings else None


def test_a_story_with_nothing_wrong() -> None:
    diagnosis = examine_story(weighed(made_story(noisy(40)), 1 / (N * 8)))
    assert {finding.code for finding in diagnosis.findings} <= {"over-accumulation"}
    assert "not-reset" in diagnosis.checked
    assert set(diagnosis.checked) | set(diagnosis.unknown) == set(CHECKS)
    assert diagnosis.windows == diagnosis.windows_total == 40


def test_an_empty_story_is_all_unknown_or_without_object() -> None:
    story = made_story(noisy(1))
    empty = replace(
        story, **{name: getattr(story, name)[:0] for name in ("update", "length", "seen", "consumed")}
    )
    empty = replace(empty, skipped=empty.consumed, lr=story.lr[:0], amp_scale=story.lr[:0])
    empty = replace(empty, micro=replace(story.micro, **{k: v[:0] for k, v in vars(story.micro).items()}))
    none = {name: value[:, :0] for name, value in vars(story.layers).items()}
    diagnosis = examine_story(replace(empty, layers=replace(story.layers, **none)))
    assert diagnosis.findings == ()
    assert set(diagnosis.checked) <= {
        "frozen", "scale-inside-window", "amp-overflow", "clip-scaled", "nonfinite", "low-precision",
        "update-swallowed",
    }  # fmt: skip


@pytest.mark.parametrize(("windows", "level"), [(2, None), (3, Level.ERROR)])
def test_not_reset_takes_three_windows(windows: int, level: Level | None) -> None:
    story = made_story(noisy(10))
    residual = np.zeros_like(story.layers.residual)
    residual[1, 2 : 2 + windows] = 0.5
    finding = found(replace(story, layers=replace(story.layers, residual=residual)), "not-reset")
    assert (finding and finding.level) == level
    if finding is not None:
        assert (finding.layers, finding.update, finding.micro_step) == (("layer_1.weight",), 2, 0)
        assert finding.series is not None
        assert finding.series.marked.sum() == 3


def test_a_residual_that_nobody_consumes_is_no_fault() -> None:
    story = made_story(noisy(10))
    taken = story.layers.consumed.copy()
    taken[1, ::2] = np.nan
    residual = np.where(np.isnan(taken), 0.5, 0).astype(np.float32)
    assert (
        found(replace(story, layers=replace(story.layers, residual=residual, consumed=taken)), "not-reset")
        is None
    )


@pytest.mark.parametrize(
    ("factor", "told"), [(1.0, 4.0), (0.25, 1.0), (0.125, 0.5)], ids=["sum", "divided by hand", "twice"]
)
def test_what_the_sum_was_divided_by_counts(factor: float, told: float) -> None:
    story = consumed(weighed(made_story(noisy(20)), 1 / 8), np.full(20, factor))
    np.testing.assert_allclose(loss_weights(story).effective, told, rtol=1e-5)
    assert (found(story, "loss-not-divided") is not None) == (told > 1)


def test_clipping_is_told_from_division() -> None:
    story = weighed(made_story(noisy(20)), 1 / 8)
    norm = story.consumed_norm
    limit = float(np.median(norm))
    clipped = consumed(story, np.minimum(1, limit / norm))
    told = consumption(clipped)
    assert told.limit == pytest.approx(limit, rel=1e-5)
    np.testing.assert_array_equal(told.clipped, norm > limit * (1 + 1e-6))
    np.testing.assert_allclose(told.factor, 1)
    finding = found(clipped, "loss-not-divided")
    assert finding is not None
    assert finding.level is Level.WARNING
    both = consumed(story, np.minimum(0.25, limit / 4 / norm))
    np.testing.assert_allclose(consumption(both).factor, 0.25)


def test_where_all_is_clipped_division_is_unknown() -> None:
    story = weighed(made_story(noisy(20)), 1 / 8)
    always = consumed(story, 0.1 / story.consumed_norm)
    with pytest.raises(MissingEvidence, match="unclipped_windows"):
        CHECKS["loss-not-divided"](always)
    clip = found(always, "clip-often")
    assert clip is not None
    assert clip.evidence["limit"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("optimizer", "settings", "level"),
    [
        ("SGD", {"weight_decay": 0.1}, Level.INFO),
        ("AdamW", {"weight_decay": 0.1}, Level.INFO),
        ("Adam", {"weight_decay": 0}, Level.INFO),
        ("Adam", {"weight_decay": 0.1}, Level.WARNING),
        ("Lion", {}, Level.WARNING),
    ],
)
def test_how_bad_a_missing_division_is(optimizer: str, settings: dict[str, float], level: Level) -> None:
    owner = {"class": optimizer, "settings": settings, "layers": [0, 1]}
    finding = found(weighed(made_story(noisy(20), facts={"optimizers": [owner]}), 1 / 8), "loss-not-divided")
    assert finding is not None
    assert finding.level is level


def test_what_the_graph_did_not_tell_is_unknown() -> None:
    for code in ("loss-not-divided", "unequal-tokens"):
        with pytest.raises(MissingEvidence, match="loss_weight"):
            CHECKS[code](made_story(noisy(20)))


def test_windows_longer_than_usual() -> None:
    windows = noisy(20)
    windows[7] = windows[7] + windows[8][:2]
    assert found(made_story(windows, declared=N), "window-overrun") is not None
    with pytest.raises(MissingEvidence, match="loss_weight"):
        CHECKS["window-overrun"](made_story(windows))
    heavy = found(weighed(made_story(windows), 1 / (N * 8)), "window-overrun")
    assert heavy is not None
    assert heavy.evidence["weight"] == pytest.approx(1.5)
    assert heavy.update == 7


def test_windows_of_every_length_have_no_usual_one() -> None:
    windows = [noisy(1, n=n, seed=n)[0] for n in (1, 2, 3, 4, 5, 6)]
    for code in ("short-window", "window-overrun", "tail-dropped"):
        with pytest.raises(MissingEvidence, match="usual_length"):
            CHECKS[code](made_story(windows))


@pytest.mark.parametrize(("amount", "raised"), [(2, False), (3, True)])
def test_resets_inside_take_three(amount: int, raised: bool) -> None:
    one = np.ones(amount)
    edits = Edits(
        np.arange(amount), np.full(amount, 2), one, 0 * one, one.astype(int) * 2, one.astype(int) * 2
    )
    assert (found(made_story(noisy(20), edits=edits), "reset-inside-window") is not None) == raised


def test_the_learning_rate_may_change_between_epochs() -> None:
    story = made_story(noisy(40), declared=N)
    lr = np.full(40 * N, 0.1)
    lr[N * 20 + 2 :] = 0.05
    assert found(replace(story, micro=replace(story.micro, lr=lr)), "lr-inside-window") is None
    every = 0.1 * 0.99 ** np.arange(40 * N)
    finding = found(replace(story, micro=replace(story.micro, lr=every)), "lr-inside-window")
    assert finding is not None
    assert finding.evidence["windows"] == 40


@pytest.mark.parametrize(("share", "level"), [(0.69, None), (0.8, Level.WARNING), (0.95, Level.ERROR)])
def test_swallowed_updates(share: float, level: Level | None) -> None:
    story = made_story(noisy(10), dtype="bfloat16")
    layers = replace(story.layers, unchanged=np.full_like(story.layers.zeros, share))
    finding = found(replace(story, layers=layers), "update-swallowed")
    assert (finding and finding.level) == level


@pytest.mark.parametrize(
    ("dtype", "n", "level"),
    [
        ("float32", 400, None),
        ("bfloat16", 16, None),
        ("bfloat16", 300, Level.WARNING),
        ("bfloat16", 700, Level.ERROR),
    ],
)
def test_rounding_of_sums(dtype: str, n: int, level: Level | None) -> None:
    """Pure noise: sum of ||G_k||^2 over ||G_n||^2 is about n / 2, so that E is 1.66e-3 sqrt(n / 2)."""
    rng = np.random.default_rng(0)
    windows = [[[rng.normal(size=40)] for _ in range(n)] for _ in range(6)]
    finding = found(made_story(windows, dtype=dtype), "low-precision")
    assert (finding and finding.level) == level
    if finding is not None:
        assert finding.evidence["error_share"] == pytest.approx(1.66e-3 * np.sqrt(n / 2), rel=0.25)


def test_one_spike_and_where() -> None:
    windows = noisy(60)
    windows[33] = [[g * 20 for g in micro] for micro in windows[33]]
    finding = found(made_story(windows), "gradient-spike")
    assert finding is not None
    assert finding.update == 33
    assert finding.evidence["windows"] == 1
    assert found(made_story(noisy(60)), "gradient-spike") is None


@pytest.mark.parametrize(("bad", "level"), [(1, Level.INFO), (3, Level.WARNING)])
@pytest.mark.parametrize("how", ["norm", "loss"])
def test_micro_batches_that_stand_out(how: str, bad: int, level: Level) -> None:
    windows = noisy(60)
    losses = np.random.default_rng(1).lognormal(sigma=0.1, size=60 * N)
    for window in range(40, 40 + bad):
        if how == "norm":
            windows[window][1] = [g * 30 for g in windows[window][1]]
        else:
            losses[window * N + 1] = 50.0
    finding = found(made_story(windows, micro={"loss": losses}), "micro-outlier")
    assert finding is not None
    assert (finding.level, finding.update, finding.micro_step) == (level, 40, 2)
    assert finding.evidence["how"] == how


@pytest.mark.parametrize(
    ("ratio", "code"), [(0.2, "update-ratio-high"), (1e-3, None), (1e-7, "update-ratio-low")]
)
def test_steps_against_weights(ratio: float, code: str | None) -> None:
    story = made_story(noisy(20), lr=np.full(20, 0.1))
    one = np.ones_like(story.layers.zeros)
    story = replace(story, layers=replace(story.layers, weight=one, step=one * np.float32(ratio)))
    raised = [name for name in ("update-ratio-high", "update-ratio-low") if found(story, name)]
    assert raised == ([code] if code else [])


@pytest.mark.parametrize(
    ("samples", "level"), [(8.0, Level.WARNING), (64.0, Level.INFO), (np.nan, Level.INFO)]
)
def test_batchnorm_and_the_size_of_a_micro_batch(samples: float, level: Level) -> None:
    facts = {"training_modules": {"batchnorm": ["norm.1"]}}
    story = made_story(noisy(10), facts=facts, micro={"samples": [samples] * 10 * N})
    finding = found(story, "batchnorm")
    assert finding is not None
    assert (finding.level, finding.layers) == (level, ("norm.1",))
    assert found(made_story(noisy(10, n=1), facts=facts), "batchnorm") is None


def test_conflict_from_the_first_window_on_or_only_once_converged() -> None:
    rng = np.random.default_rng(0)

    def pairs(count: int, common: float) -> list[list[list[Vector]]]:
        made = []
        for _ in range(count):
            g = rng.normal(size=6)
            made.append([[g + common], [-0.8 * g + common]])
        return made

    always = found(made_story(pairs(30, 0.0)), "conflict")
    assert always is not None
    assert always.evidence["gain"] == pytest.approx(0.04 / 1.64, rel=1e-3)
    with pytest.raises(MissingEvidence, match="dataset_size"):
        CHECKS["conflict"](made_story(pairs(10, 3.0) + pairs(30, 0.0)))


@pytest.mark.parametrize("code", ["conflict", "over-accumulation", "noise-dominated"])
def test_what_ranks_have_averaged_is_said_to_be_unknown(code: str) -> None:
    with pytest.raises(MissingEvidence, match="one_rank"):
        CHECKS[code](made_story(noisy(30), ranks=2))


def test_skipped_updates_are_no_nan() -> None:
    story = made_story(noisy(20), amp_scale=np.full(20, 1024.0))
    broken = story.layers.broken.copy()
    broken[:, 3] = True
    squares = np.where(story.micro.window == 3, np.nan, story.micro.squares)
    micro = replace(story.micro, squares=squares, loss=np.ones_like(squares))
    changes: dict[str, Any] = {"layers": replace(story.layers, broken=broken), "micro": micro}
    skipped = np.arange(20) == 3
    assert found(replace(story, **changes, skipped=skipped), "nonfinite") is None
    overflow = found(replace(story, **changes, skipped=skipped), "amp-overflow")
    assert overflow is not None
    assert overflow.level is Level.INFO
    finding = found(replace(story, **changes), "nonfinite")
    assert finding is not None
    assert (finding.layers, finding.update, finding.micro_step) == (("layer_1.weight",), 3, 1)

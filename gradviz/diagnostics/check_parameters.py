"""Does every parameter take part, and is a batch statistic taken over enough samples?"""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Flags
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.places import first_update, known_median, last_windows, names_of, over_layers
from gradviz.schema import Level

WINDOWS = 3
MICRO_STEPS = 12  # a block that is dropped at random every other time is not missed 12 times in a row
LAST = 8
SMALL_BATCH = 16
ZEROS = 0.3


def check_frozen(story: RunStory) -> list[Finding]:
    """`frozen`: parameters that do not train.

    Rule: `requires_grad` is False.
    How to read it: there is nothing to plot; the names say it.
    Requires: nothing.
    """
    frozen = ~story.table.trainable
    if not frozen.any():
        return []
    elements = story.table.numel
    evidence: dict[str, Evidence] = {
        "layers": int(frozen.sum()),
        "layers_total": len(frozen),
        "elements_share": float(elements[frozen].sum() / max(elements.sum(), 1)),
    }
    return [Finding("frozen", Level.INFO, names_of(story, frozen), evidence=evidence)]


def check_unused(story: RunStory) -> list[Finding]:
    """`unused`: trainable parameters that no backward ever reaches.

    Rule: the parameter's hook never fired in the whole run, which has 3 windows and 12 micro-steps or more
    (a block that is dropped at random is used at some time), while others did.
    How to read it: the bars count the micro-steps that reached a parameter.
    Requires: g_k of some parameter, 3 windows, 12 micro-steps.
    """
    need(story.has_shares, "shares")
    need((story.seen > 0).sum() >= WINDOWS and len(story.micro.loss) >= MICRO_STEPS, "windows")
    fired = story.layers.fired.sum(axis=1)
    unused = story.table.trainable & (fired == 0) & _without_gradient(story)
    if not unused.any():
        return []
    evidence: dict[str, Evidence] = {
        "layers": int(unused.sum()),
        "layers_total": int(story.table.trainable.sum()),
        "micro_steps": len(story.micro.loss),
    }
    series = over_layers(
        story, "fired", story.table.trainable, fired[story.table.trainable].astype(float), log=False
    )
    return [Finding("unused", Level.WARNING, names_of(story, unused), evidence=evidence, series=series)]


def _without_gradient(story: RunStory) -> Flags:
    """Layers [L] whose p.grad never held anything: tells unused from gradients whose own share was not seen."""
    return np.asarray(np.nan_to_num(story.layers.accumulated, nan=1.0).max(axis=1, initial=0) == 0)


def check_batchnorm(story: RunStory) -> list[Finding]:
    """`batchnorm`: batch statistics are taken over each micro-batch and not over the window.

    Rule: BatchNorm modules in training mode and more than one micro-step a window: a warning where a micro-batch has
    16 samples or fewer, else information. Measured error of the accumulated gradient against one batch of 256: 12 %
    at 128 samples, 18 % at 32, 36 % at 8, 396 % at 2 (LayerNorm: below 1e-15).
    How to read it: there is nothing to plot.
    Requires: `training_modules` in run.json; for the warning also the samples of a micro-batch, logged or counted
    by the loss.
    """
    modules = story.facts.get("training_modules")
    need(isinstance(modules, dict), "training_modules")
    names = tuple(str(name) for name in (modules or {}).get("batchnorm", ()))
    n = float(np.median(story.length)) if len(story.length) else 0.0
    if not names or n <= 1:
        return []
    size = known_median(story.samples)
    evidence: dict[str, Evidence] = {
        "how": "unknown" if np.isnan(size) else "known",
        "modules": len(names),
        "samples": size,
        "length": int(n),
    }
    level = Level.WARNING if size <= SMALL_BATCH else Level.INFO
    return [Finding("batchnorm", level, names, evidence=evidence)]


def check_dead_layer(story: RunStory) -> list[Finding]:
    """`dead-layer`: a parameter whose gradient is exactly zero, micro-step after micro-step.

    Rule: g_k is 0 everywhere in every micro-step of the last 8 windows though its hook fires, while another
    parameter's is not (where all are zero the loss has ended). Embeddings do not count.
    How to read it: the bars are the norm of g_k over the last 8 windows; nothing is there for a dead one.
    Requires: g_k, 8 windows.
    """
    need(story.has_shares, "shares")
    windows = story.seen > 0
    need(windows.sum() >= LAST, "windows")
    last = last_windows(windows, LAST)
    own = np.nan_to_num(story.layers.own[:, last], nan=1.0).max(axis=1)
    fired = np.asarray((story.layers.fired[:, last] > 0).all(axis=1))
    dead = fired & (own == 0) & ~story.table.embedding
    if not dead.any() or not (own > 0).any():
        return []
    evidence: dict[str, Evidence] = {
        "layers": int(dead.sum()),
        "layers_total": int(fired.sum()),
        "windows": LAST,
    }
    series = over_layers(story, "own", fired, own[fired].astype(np.float64))
    return [
        Finding(
            "dead-layer", Level.WARNING, names_of(story, dead), first_update(story, last), 1, evidence, series
        )
    ]


def check_dead_units(story: RunStory) -> list[Finding]:
    """`dead-units`: part of a parameter gets no gradient at all, window after window.

    Rule: the fraction of exact zeros in G_n lies between 0.3 and 1 in each of the last 8 windows. Embeddings do not
    count. Information only: healthy deep networks with ReLU show it too.
    How to read it: the bars are the least fraction of zeros over the last 8 windows.
    Requires: `zeros` at 8 updates.
    """
    windows = story.consumed & ~story.skipped
    need(windows.sum() >= LAST, "windows")
    last = last_windows(windows, LAST)
    zeros = story.layers.zeros[:, last]
    known = np.asarray(~np.isnan(zeros).any(axis=1))
    need(known.any(), "zeros")
    idle = known & ((zeros > ZEROS) & (zeros < 1)).all(axis=1) & ~story.table.embedding
    if not idle.any():
        return []
    least = zeros.min(axis=1)
    evidence: dict[str, Evidence] = {
        "layers": int(idle.sum()),
        "layers_total": int(known.sum()),
        "windows": LAST,
        "zeros_share": float(least[idle].max()),
    }
    series = over_layers(
        story, "zeros_share", known, least[known].astype(np.float64), limits=(ZEROS,), log=False
    )
    return [
        Finding(
            "dead-units", Level.INFO, names_of(story, idle), first_update(story, last), None, evidence, series
        )
    ]

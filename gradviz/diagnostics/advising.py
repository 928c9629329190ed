"""What a smaller or larger window would buy, in one paragraph with its uncertainty.

After McCandlish et al. (2018), "An Empirical Model of Large-Batch Training": at the best learning rate an update
from B samples makes 1 / (1 + B_simple / B) of the progress that the exact gradient would make.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradviz.analysis.noise import FEWEST, NoiseScale, noise_of
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.wording import number
from gradviz.texts import text

TIMES = 8.0


@dataclass(frozen=True)
class Progress:
    """Progress of one update as a fraction of the exact gradient's, with its interval, at a window of `size`."""

    micro_steps: float
    size: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Advice:
    """The noise scale of a run and what windows of half, the same and twice the size would do."""

    noise: NoiseScale
    micro_steps: int
    options: tuple[Progress, ...]
    paragraph: str


def advise(
    story: RunStory, *, samples: float | None = None, dataset_size: int | None = None, language: str = "en"
) -> Advice:
    """Advice about the number of micro-steps; arguments as in `noise_scale`."""
    noise = noise_of(story, samples=samples, dataset_size=dataset_size)
    usable = story.length[story.sound & (story.length > 1)]
    n = int(np.median(usable)) if len(usable) else 0
    options = (
        tuple(_progress(noise, n * factor, factor) for factor in (0.5, 1.0, 2.0))
        if noise.total.resolved
        else ()
    )
    return Advice(noise, n, options, _paragraph(noise, n, options, language))


def _progress(noise: NoiseScale, micro_steps: float, factor: float) -> Progress:
    size, total = noise.window * factor, noise.total
    return Progress(
        micro_steps, size, *(1 / (1 + scale / size) for scale in (total.value, total.high, total.low))
    )


def _paragraph(noise: NoiseScale, n: int, options: tuple[Progress, ...], language: str) -> str:
    total = noise.total
    if total.windows < FEWEST or np.isnan(total.low):
        return text("advise.too_few", language, windows=total.windows, needed=FEWEST)
    unit = text(f"advise.unit_{noise.unit}", language)
    facts = {"length": n, "window": number(noise.window), "unit": unit, "windows": total.windows}
    facts["low"] = number(total.low)
    if not options:
        below = "below" if noise.window < total.low else "above"
        return text("advise.unresolved", language, **facts, against=text(f"advise.against_{below}", language))
    half, now, twice = (_range(option, language) for option in options)
    return text(
        "advise.resolved",
        language,
        **facts,
        noise_scale=number(total.value),
        high=number(total.high),
        half=number(options[0].micro_steps),
        twice=number(options[2].micro_steps),
        half_share=half,
        now=now,
        twice_share=twice,
        verdict=text(f"advise.{verdict(noise)}", language),
    )


def _range(option: Progress, language: str) -> str:
    value, low, high = (f"{100 * part:.0f} %" for part in (option.value, option.low, option.high))
    return text("advise.range_share", language, value=value, low=low, high=high)


def verdict(noise: NoiseScale) -> str:
    """`smaller`, `larger`, `balanced`, or `unclear` where the interval allows more than one of them."""
    kinds = {_kind(scale, noise.window) for scale in (noise.total.low, noise.total.value, noise.total.high)}
    return kinds.pop() if len(kinds) == 1 else "unclear"


def _kind(scale: float, window: float) -> str:
    if TIMES * scale < window:
        return "smaller"
    return "larger" if scale > TIMES * window else "balanced"

"""`gradviz advise`: what a smaller or larger window would buy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from gradviz.cli.terminal import print_json, say


def print_advice(path: Path, *, samples: float | None, dataset_size: int | None, as_json: bool) -> None:
    """Print one paragraph on the run at `path`, or its numbers."""
    from gradviz.analysis.story_reading import run_story
    from gradviz.diagnostics.advising import advise
    from gradviz.store import open_run

    advice = advise(run_story(open_run(path.absolute())), samples=samples, dataset_size=dataset_size)
    if not as_json:
        say(advice.paragraph)
        return
    noise = advice.noise
    print_json(
        {
            "run": path,
            "unit": noise.unit,
            "micro_steps": advice.micro_steps,
            "window": noise.window,
            "noise_scale": asdict(noise.total) | {"resolved": noise.total.resolved},
            "options": [asdict(option) for option in advice.options],
            "advice": advice.paragraph,
        }
    )

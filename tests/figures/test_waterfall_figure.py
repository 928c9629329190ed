"""What the waterfall says of one window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradviz.analysis import waterfall
from gradviz.figures import plot_waterfall
from tests.figures.test_other_figures import subtitle
from tests.reference_runs import reference_run


def test_the_waterfall_names_who_made_the_update_and_what_was_logged_with_it() -> None:
    run = reference_run()
    events = run.events().assign(**{"samples": 8.0, "<b>": 2.0})
    found = waterfall(run.gradients(), update=1, events=events)
    figure = plot_waterfall(found)
    said = subtitle(figure)
    assert f"{100 * found.share:.0f} %" in said
    assert "samples 8, &lt;b&gt; 2" in said
    assert "an even share is 25 %" in said
    bars = figure.data[0]
    assert "share of the update" in bars.hovertext[found.largest]
    assert "samples" not in bars.hovertext[-1].replace("samples: 8", "")
    stale = plot_waterfall(waterfall(reference_run(reset="never").gradients(), update=2))
    assert "is older than its window" in subtitle(stale)


def test_without_cosines_the_waterfall_says_what_moved_the_sum() -> None:
    frame = reference_run().gradients().assign(cosine=np.nan)
    assert "of all movement" in subtitle(plot_waterfall(waterfall(frame, update=1)))


@pytest.mark.parametrize(
    ("share", "said"), [(1.3, "130 %"), (12.55, "×13"), (1255.0, "×1300"), (4.0e6, "×4e6")]
)
def test_a_sum_that_nearly_cancels_is_said_to_and_not_a_share_of_a_thousand_percent(
    share: float, said: str
) -> None:
    found = replace(waterfall(reference_run().gradients(), update=1), share=share)
    figure = plot_waterfall(found)
    assert f"would have made {said} of the update" in subtitle(figure)
    assert "pulled against each other" in subtitle(figure)
    assert f"<b>{said}</b>" in [note.text for note in figure.layout.annotations]

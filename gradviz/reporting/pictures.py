"""The pictures of a report, each made of as many rows as can be read at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis import (
    build_up,
    heat_map,
    heat_map_of_updates,
    layer_flow,
    most_changing,
    noise_over_time,
    run_story,
    sawtooth,
    thin_windows,
)
from gradviz.analysis.heat_map import block_columns
from gradviz.analysis.noise_over_time import spread_updates
from gradviz.errors import GradvizError
from gradviz.figures import (
    plot_build_up,
    plot_heat_map,
    plot_layer_flow,
    plot_noise_over_time,
    plot_sawtooth,
)
from gradviz.figures.wording import without_words, words_of
from gradviz.texts import text

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from gradviz.diagnostics import Finding
    from gradviz.store import Run

ROWS_AT_ONCE = 2_000_000
STRETCHES = 64  # of a long run, for its noise
TEETH = 30  # windows whose teeth can be told apart on a page
POINTS = 4000  # of a layer; longer windows than that leave fewer of them
DECADES = 1000.0  # a maximum so far above the middle hides all else on a linear axis
LAYERS, CELLS = 400, 200_000  # of a heat map
FIRST_LAYERS = 3
LEGEND_LINE = 24
NORMS = (
    "event", "update", "micro_step", "phase", "layer", "l2", "nonfinite", "micro_l2", "micro_nonfinite",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture and its words; `figure` None where there is nothing to draw, `note` what was left out."""

    title: str
    sentence: str
    figure: go.Figure | None
    note: str = ""


@dataclass(frozen=True)
class Album:
    """Draws the pictures of one run in one language."""

    run: Run
    events: pd.DataFrame
    language: str

    def pictures(self, worst: Finding | None) -> list[Picture]:
        """Sawtooth, build-up, noise, heat map, and all layers at the moment of the worst finding, or at the end."""
        return [
            self._safely(lambda: self.sawtooth(worst)),
            self._safely(self.build_up),
            self._safely(self.noise_over_time),
            self._safely(self.heat_map),
            self._safely(lambda: self.flow(worst)),
        ]

    def sawtooth(self, worst: Finding | None) -> Picture:
        """First, middle and last weight of the model, over as many windows as a page can show well."""
        names = self._some_layers()
        updates, note = self._some_windows(worst)
        rows = self.run.gradients(layers=names, updates=updates)
        extra = {"events": self.events, "segments": self.run.segments}
        teeth = [
            thin_windows(sawtooth(rows, layer=name, **extra), points=POINTS)  # type: ignore[arg-type]
            for name in names
        ]
        sizes = np.concatenate([one.value[np.isfinite(one.value) & (one.value > 0)] for one in teeth])
        log = bool(len(sizes)) and float(sizes.max()) > DECADES * float(np.median(sizes))
        return picture(plot_sawtooth(teeth, log=log, language=self.language), note)

    def build_up(self) -> Picture:
        """The whole model."""
        updates, note = self._last_windows(len(self.run.layers))
        record = build_up(self.run.gradients(updates=updates, columns=NORMS))
        return picture(plot_build_up(record, language=self.language), note)

    def noise_over_time(self) -> Picture:
        """The whole model over the whole run; stretches spread over it where it is long."""
        layers = len(self.run.layers)
        few = layers * len(self.events) <= ROWS_AT_ONCE
        updates = None if few else spread_updates(self.events, most=ROWS_AT_ONCE // layers, pieces=STRETCHES)
        record = noise_over_time(run_story(self.run, updates=updates))
        return picture(plot_noise_over_time(record, language=self.language))

    def heat_map(self) -> Picture:
        """Every update where they fit, else the overview; the layers that change most where there are too many."""
        layers = len(self.run.layers)
        updates = self.events["update"].nunique()
        columns = max(20, CELLS // max(1, min(layers, LAYERS)))
        if layers * updates <= ROWS_AT_ONCE:
            wanted = ["event", "layer", "update", "phase", "l2", "nonfinite"]
            rows = self.run.gradients(phases="update", columns=wanted)
            record = heat_map_of_updates(rows, columns=columns, events=self.events)
        else:
            blocks = self.run.overview(columns=block_columns("l2"), most_blocks=columns)
            record = heat_map(blocks, columns=columns)
        return picture(plot_heat_map(most_changing(record, LAYERS), language=self.language))

    def flow(self, worst: Finding | None) -> Picture:
        """All layers at one moment."""
        event, update = self._moment(worst)
        rows = self.run.gradients(updates=(update, update))
        record = layer_flow(rows, event=event, layers=self.run.layers)
        return picture(plot_layer_flow(record, orientation="auto", language=self.language))

    def _safely(self, draw: Callable[[], Picture]) -> Picture:
        """A damaged part takes away one picture and not the report."""
        try:
            return draw()
        except (GradvizError, OSError) as error:
            return Picture(text("report.missing_picture", self.language), str(error), None)

    def _some_layers(self) -> list[str]:
        names = [str(name) for name in self.run.layers["layer"]]
        weights = [name for name in names if name.endswith("weight")]
        names = weights if len(weights) >= FIRST_LAYERS else names
        return list(dict.fromkeys(names[place] for place in (0, len(names) // 2, -1) if names))

    def _some_windows(self, worst: Finding | None) -> tuple[tuple[int, int] | None, str]:
        """All windows where they are few; else those around the worst finding, or the last ones."""
        real = self.events["phase"] != "reset"  # a run ends in one
        known = np.unique(self.events.loc[real, "update"].to_numpy())
        if len(known) <= TEETH:
            return None, ""
        place = (
            len(known) if worst is None or worst.update is None else int(np.searchsorted(known, worst.update))
        )
        start = min(max(place - TEETH // 2, 0), len(known) - TEETH)
        first, last = int(known[start]), int(known[start + TEETH - 1])
        return (first, last), text("report.some_windows", self.language, first=first, last=last)

    def _last_windows(self, layers: int) -> tuple[tuple[int, int] | None, str]:
        """The windows whose rows of so many layers can be read at once, and what to say when they are not all."""
        room = ROWS_AT_ONCE // max(1, layers)
        updates = self.events["update"].to_numpy()
        if len(updates) <= room:
            return None, ""
        first, last = int(np.sort(updates)[-room]) + 1, int(updates.max())
        first = min(first, last)
        return (first, last), text("report.last_windows", self.language, first=first, last=last)

    def _moment(self, worst: Finding | None) -> tuple[int, int]:
        """Event and update of the worst finding's place, else of the last micro-step that an update followed."""
        events = self.events
        if worst is not None and worst.update is not None:
            phase = "reset" if worst.micro_step == 0 else "micro_step"
            here = events[(events["update"] == worst.update) & (events["phase"] == phase)]
            exact = here[here["micro_step"] == worst.micro_step]
            here = exact if len(exact) else here
            if len(here):
                return int(here["event"].iloc[-1]), worst.update
        micro = events[events["phase"] == "micro_step"]
        done = micro[micro["update"].isin(events.loc[events["phase"] == "update", "update"])]
        last = (done if len(done) else micro if len(micro) else events).iloc[-1]
        return int(last["event"]), int(last["update"])


def picture(figure: go.Figure, note: str = "") -> Picture:
    """A figure and its words, told apart."""
    title, sentence = words_of(figure)
    if not figure.data:
        return Picture(title, sentence, None, note)
    bare = without_words(figure)
    if bare.layout.showlegend is not False:  # on paper a legend takes a line more
        below = bare.layout.margin.b + LEGEND_LINE
        bare.update_layout(height=bare.layout.height + LEGEND_LINE, margin={"b": below})
    return Picture(title, sentence, bare, note)

"""The page Gradient flow: one moment, a film, two moments; what a link says is what is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import gradviz
from gradviz.store import sample_folder
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import NAMES, open_writer, record_run, write_windows

DEEP = "samples:vanishing-deep-sigmoid"


def specs(app: AppTest) -> list[dict[str, Any]]:
    """What Plotly is given, chart by chart."""
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def plain(app: AppTest) -> str:
    return spoken(app).replace("\\", "")


def labels(film: dict[str, Any]) -> list[str]:
    return [step["label"] for step in film["layout"]["sliders"][0]["steps"]]


def test_a_film_goes_over_the_update_and_the_reset_into_the_next_window(
    open_page: Open, folder: Path
) -> None:
    app = open_page(
        "gradient_flow", run=record_run(folder, windows=[2, 2, 2]).name, show="play", window="1", moment="2"
    )
    assert_sound(app)
    film = specs(app)[0]
    moments = [
        "before window 1", "update 1, micro-step 1", "update 1, micro-step 2", "update 1, as consumed",
        "before window 2", "update 2, micro-step 1", "update 2, micro-step 2", "update 2, as consumed",
    ]  # fmt: skip
    assert labels(film) == moments
    assert len(film["frames"]) == len(labels(film))
    assert labels(film)[film["layout"]["sliders"][0]["active"]] == "update 1, micro-step 2"
    assert "The film ends" not in plain(app)


def test_a_frame_moves_values_and_nothing_that_the_reader_set(open_page: Open) -> None:
    film = specs(open_page("gradient_flow", run=DEEP, show="play", window="20"))[0]
    for frame in film["frames"]:
        assert "layout" not in frame
        assert len(frame["data"]) == len(film["data"])
        assert all(set(trace) <= {"x", "y", "customdata", "type"} for trace in frame["data"])


def test_a_long_film_says_where_it_ends(open_page: Open, folder: Path) -> None:
    name = record_run(folder, windows=[4] * 20).name
    assert "The film ends at window 9, after 60 moments" in plain(
        open_page("gradient_flow", run=name, show="play", window="0")
    )
    assert "The film ends" not in plain(open_page("gradient_flow", run=name, show="play", window="12"))


def test_a_film_of_many_layers_is_shorter(open_page: Open, folder: Path) -> None:
    layers = [f"blocks.{number}.weight" for number in range(1500)]
    name = record_run(folder, layers=layers, windows=[4] * 6).name
    app = open_page("gradient_flow", run=name, show="play", window="0")
    assert_sound(app)
    assert len(specs(app)[0]["frames"]) == 24_000 // 1500


def test_a_film_of_a_live_run_stays_while_it_is_watched(open_page: Open, folder: Path) -> None:
    writer = open_writer(folder)
    try:
        event = write_windows(writer, [4, 4])
        assert writer.flush()
        app = open_page("gradient_flow", run=writer.path.name, show="play")
        before = specs(app)[0]
        write_windows(writer, [4, 4], first_update=2, first_event=event)
        assert writer.flush()
        app.run()
        assert specs(app)[0] == before
        app.slider(key="widget.window").set_value(2).run()
        assert specs(app)[0] != before
    finally:
        writer.close()


def test_two_moments_stand_on_one_axis_with_what_changed(open_page: Open) -> None:
    app = open_page(
        "gradient_flow", run=DEEP, show="pair", window2="3", moment2="2", window="40", moment="update"
    )
    assert_sound(app)
    first, second, change = specs(app)[:3]
    assert first["layout"]["yaxis"]["range"] == second["layout"]["yaxis"]["range"]
    words = plain(app)
    assert "From update 3, micro-step 2 to update 40, as consumed" in words
    run = gradviz.open_run(sample_folder() / DEEP.removeprefix("samples:"))
    rows = run.gradients(updates=(3, 40))
    at = [
        rows[(rows["update"] == update) & (rows["phase"] == phase) & (rows["micro_step"] == k)]
        for update, phase, k in ((3, "micro_step", 2), (40, "update", 4))
    ]
    ratios = at[1]["mean_abs"].to_numpy(np.float64) / at[0]["mean_abs"].to_numpy(np.float64)
    table = app.dataframe[0].value
    np.testing.assert_allclose(sorted(table["ratio"]), sorted(ratios), rtol=1e-6)
    assert change["layout"]["yaxis"]["type"] == "log"
    assert {name: app.query_params[name] for name in ("show", "window2", "moment2", "moment")} == {
        "show": "pair", "window2": "3", "moment2": "2", "moment": "update",
    }  # fmt: skip


def test_moments_of_a_window_share_their_axis(open_page: Open) -> None:
    ranges = [
        specs(open_page("gradient_flow", run=DEEP, window="20", moment=moment))[0]["layout"]["yaxis"]["range"]
        for moment in ("1", "4", "update")
    ]
    assert ranges[0] == ranges[1] == ranges[2]


def test_the_place_of_layers_without_a_gradient_is_marked_where_there_are_some(open_page: Open) -> None:
    def marked(moment: str) -> bool:
        axis = specs(open_page("gradient_flow", run=DEEP, window="20", moment=moment))[0]["layout"]["yaxis"]
        return "None" in axis["ticktext"]

    assert [marked(moment) for moment in ("reset", "1", "4", "update")] == [True, False, False, False]


def test_the_hover_tells_everything_of_a_layer(open_page: Open) -> None:
    card = specs(open_page("gradient_flow", run=DEEP, window="20", moment="3"))[0]["data"][-1]
    run = gradviz.open_run(sample_folder() / DEEP.removeprefix("samples:"))
    place = card["text"].index("10.weight")
    rows = run.gradients(layers="10.weight", updates=(20, 20))
    row = rows[(rows["micro_step"] == 3) & (rows["phase"] == "micro_step")].iloc[0]
    step = rows[rows["phase"] == "update"].iloc[0]
    kind, *words = card["customdata"][place]
    shape = run.layers.set_index("layer").loc["10.weight", "shape"]
    assert kind == f"Linear · {shape[0]} × {shape[1]} · {shape[0] * shape[1]:,} elements"
    names = ("mean_abs", "l2", "max_abs", "micro_mean_abs", "micro_l2", "micro_max_abs", "cosine")
    expected = [float(row[name]) for name in names] + [float(step[name]) for name in ("step_l2", "weight_l2")]
    np.testing.assert_allclose([float(word) for word in words[: len(expected)]], expected, rtol=0.01)
    assert all("e" in word for word, value in zip(words, expected, strict=False) if 0 < abs(value) < 1e-3)
    assert "%{customdata[0]}" in card["hovertemplate"]
    assert card["hoverinfo"] == "text"


def test_weights_only(open_page: Open) -> None:
    app = open_page("gradient_flow", run=DEEP, kind="weights")
    assert_sound(app)
    names = list(app.dataframe[0].value["layer"])
    assert names
    assert all(name.endswith("weight") for name in names)
    assert app.query_params["kind"] == "weights"


def test_chosen_layers_become_lines_over_the_band(open_page: Open) -> None:
    app = open_page("gradient_flow", run=DEEP)
    ratio = next(
        one for one in specs(app) if "‖Δw‖" in json.dumps(one["layout"]["yaxis"], ensure_ascii=False)
    )
    assert "10.weight" not in [trace.get("name") for trace in ratio["data"]]
    app.multiselect(key="widget.layer").set_value(["10.weight", "0.bias"]).run()
    assert_sound(app)
    names = [trace.get("name") for one in specs(app) for trace in one["data"]]
    assert {"10.weight", "0.bias"} <= set(names)


def test_an_older_run_says_that_the_ratio_is_unknown(open_page: Open, folder: Path) -> None:
    app = open_page("gradient_flow", run=record_run(folder).name)  # its writer knows nothing of weights
    assert_sound(app)
    assert "How far updates move the weights is not known here" in plain(app)


WAYS_TO_LOOK = ("moment", "play", "pair")
ODD_RUNS = ("poisoned", "never reset", "one micro-step", "one layer", "many layers")


@pytest.mark.parametrize(
    ("show", "odd", "language"),
    [
        (show, odd, ("en", "zh")[(place + number) % 2])
        for place, show in enumerate(WAYS_TO_LOOK)
        for number, odd in enumerate(ODD_RUNS)
    ],
)
def test_every_way_to_look_opens_on_every_odd_run(
    open_page: Open, folder: Path, show: str, odd: str, language: str
) -> None:
    made: dict[str, dict[str, Any]] = {
        "poisoned": {"poison": (1, 2)},
        "never reset": {"resets": False},
        "one micro-step": {"windows": [1]},
        "one layer": {"layers": ["only"]},
        "many layers": {"layers": [f"encoder.blocks.{number}.weight" for number in range(400)]},
    }
    app = open_page("gradient_flow", run=record_run(folder, **made[odd]).name, show=show, lang=language)
    assert_sound(app)
    assert not app.warning


def test_nonsense_in_a_link(open_page: Open, folder: Path) -> None:
    app = open_page(
        "gradient_flow",
        run=record_run(folder).name,
        show="x",
        kind="y",
        window2="-1",
        moment2="99",
        layer="z",
    )
    assert_sound(app)
    assert not app.warning
    assert NAMES[0] in list(app.dataframe[0].value["layer"])

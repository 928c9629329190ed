"""Frames of a run -> records: frozen dataclasses of numpy arrays that a picture draws as they are.

Room rule: pandas and numpy; no drawing. Importing this package does not load pandas.
"""

from gradviz.analysis.build_up import BuildUp, build_up
from gradviz.analysis.coherence import Coherence, coherence
from gradviz.analysis.comparison import Comparison, comparison
from gradviz.analysis.comparison_clock import AXES, Axis, RunClock, run_clock
from gradviz.analysis.comparison_curves import ComparedCurves, compared_curves, compared_losses
from gradviz.analysis.comparison_facts import ComparedFacts, compared_facts
from gradviz.analysis.comparison_map import DifferenceMap, difference_map
from gradviz.analysis.comparison_reading import ComparedRun, compared_run, rows_to_read
from gradviz.analysis.distribution import Distribution, distribution, merge_updates
from gradviz.analysis.evidence import EvidenceSeries
from gradviz.analysis.evidence_thinning import thin_evidence
from gradviz.analysis.flow_change import FlowChange, flow_change
from gradviz.analysis.frames import STATISTICS, Statistic
from gradviz.analysis.heat_map import HeatMap, heat_map, heat_map_of_updates
from gradviz.analysis.heat_map_rows import most_changing
from gradviz.analysis.layer_facts import LayerFacts, layer_facts, only_weights
from gradviz.analysis.layer_flow import LayerFlow, layer_flow
from gradviz.analysis.ledger import WindowLedger, window_ledger
from gradviz.analysis.noise import NoiseScale, noise_scale
from gradviz.analysis.noise_over_time import NoiseOverTime, noise_over_time
from gradviz.analysis.place_marks import PlaceMark
from gradviz.analysis.sawtooth import Sawtooth, sawtooth
from gradviz.analysis.story import RunStory
from gradviz.analysis.story_reading import run_story
from gradviz.analysis.thinning import thin_windows
from gradviz.analysis.update_ratio import UpdateRatio, update_ratio
from gradviz.analysis.waterfall import Waterfall, waterfall

__all__ = [
    "AXES",
    "STATISTICS",
    "Axis",
    "BuildUp",
    "Coherence",
    "ComparedCurves",
    "ComparedFacts",
    "ComparedRun",
    "Comparison",
    "DifferenceMap",
    "Distribution",
    "EvidenceSeries",
    "FlowChange",
    "HeatMap",
    "LayerFacts",
    "LayerFlow",
    "NoiseOverTime",
    "NoiseScale",
    "PlaceMark",
    "RunClock",
    "RunStory",
    "Sawtooth",
    "Statistic",
    "UpdateRatio",
    "Waterfall",
    "WindowLedger",
    "build_up",
    "coherence",
    "compared_curves",
    "compared_facts",
    "compared_losses",
    "compared_run",
    "comparison",
    "difference_map",
    "distribution",
    "flow_change",
    "heat_map",
    "heat_map_of_updates",
    "layer_facts",
    "layer_flow",
    "merge_updates",
    "most_changing",
    "noise_over_time",
    "noise_scale",
    "only_weights",
    "rows_to_read",
    "run_clock",
    "run_story",
    "sawtooth",
    "thin_evidence",
    "thin_windows",
    "update_ratio",
    "waterfall",
    "window_ledger",
]

"""Frames of a run -> records: frozen dataclasses of numpy arrays that a picture draws as they are.

Room rule: pandas and numpy; no drawing. Importing this package does not load pandas.
"""

from gradviz.analysis.build_up import BuildUp, build_up
from gradviz.analysis.coherence import Coherence, coherence
from gradviz.analysis.distribution import Distribution, distribution, merge_updates
from gradviz.analysis.evidence import EvidenceSeries
from gradviz.analysis.evidence_thinning import thin_evidence
from gradviz.analysis.frames import STATISTICS, Statistic
from gradviz.analysis.heat_map import HeatMap, heat_map, heat_map_of_updates, most_changing
from gradviz.analysis.layer_flow import LayerFlow, layer_flow
from gradviz.analysis.ledger import WindowLedger, window_ledger
from gradviz.analysis.noise import NoiseScale, noise_scale
from gradviz.analysis.sawtooth import Sawtooth, sawtooth
from gradviz.analysis.story import RunStory
from gradviz.analysis.story_reading import run_story
from gradviz.analysis.thinning import thin_windows
from gradviz.analysis.waterfall import Waterfall, waterfall

__all__ = [
    "STATISTICS",
    "BuildUp",
    "Coherence",
    "Distribution",
    "EvidenceSeries",
    "HeatMap",
    "LayerFlow",
    "NoiseScale",
    "RunStory",
    "Sawtooth",
    "Statistic",
    "Waterfall",
    "WindowLedger",
    "build_up",
    "coherence",
    "distribution",
    "heat_map",
    "heat_map_of_updates",
    "layer_flow",
    "merge_updates",
    "most_changing",
    "noise_scale",
    "run_story",
    "sawtooth",
    "thin_evidence",
    "thin_windows",
    "waterfall",
    "window_ledger",
]

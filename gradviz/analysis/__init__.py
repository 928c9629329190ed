"""Frames of a run -> records: frozen dataclasses of numpy arrays that a picture draws as they are.

Room rule: pandas and numpy; no drawing. Importing this package does not load pandas.
"""

from gradviz.analysis.build_up import BuildUp, build_up
from gradviz.analysis.distribution import Distribution, distribution, merge_updates
from gradviz.analysis.frames import STATISTICS, Statistic
from gradviz.analysis.layer_flow import LayerFlow, layer_flow
from gradviz.analysis.ledger import WindowLedger, window_ledger
from gradviz.analysis.sawtooth import Sawtooth, sawtooth
from gradviz.analysis.thinning import thin_windows
from gradviz.analysis.waterfall import Waterfall, waterfall

__all__ = [
    "STATISTICS",
    "BuildUp",
    "Distribution",
    "LayerFlow",
    "Sawtooth",
    "Statistic",
    "Waterfall",
    "WindowLedger",
    "build_up",
    "distribution",
    "layer_flow",
    "merge_updates",
    "sawtooth",
    "thin_windows",
    "waterfall",
    "window_ledger",
]

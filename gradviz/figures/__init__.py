"""Records -> `plotly` figures: one record in, one `go.Figure` out.

Room rule: plotly only; no pandas, no arithmetic on runs.
"""

from gradviz.figures.build_up import plot_build_up
from gradviz.figures.distribution import plot_distribution
from gradviz.figures.distribution_ridge import plot_distribution_ridge
from gradviz.figures.evidence import plot_evidence
from gradviz.figures.grad_flow import plot_grad_flow
from gradviz.figures.heat_map import plot_heat_map
from gradviz.figures.layer_flow import plot_layer_flow
from gradviz.figures.names import escape_plotly
from gradviz.figures.sawtooth import plot_sawtooth
from gradviz.figures.waterfall import plot_waterfall

__all__ = [
    "escape_plotly",
    "plot_build_up",
    "plot_distribution",
    "plot_distribution_ridge",
    "plot_evidence",
    "plot_grad_flow",
    "plot_heat_map",
    "plot_layer_flow",
    "plot_sawtooth",
    "plot_waterfall",
]

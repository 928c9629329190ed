"""Records -> `plotly` figures: one record in, one `go.Figure` out.

Room rule: plotly only; no pandas, no arithmetic on runs.
"""

from gradviz.figures.build_up import plot_build_up
from gradviz.figures.comparison import plot_comparison
from gradviz.figures.comparison_curves import plot_compared_curves
from gradviz.figures.comparison_map import plot_difference_map
from gradviz.figures.distribution import plot_distribution
from gradviz.figures.distribution_ridge import plot_distribution_ridge
from gradviz.figures.evidence import plot_evidence
from gradviz.figures.flow_change import plot_flow_change
from gradviz.figures.grad_flow import plot_grad_flow
from gradviz.figures.heat_map import plot_heat_map
from gradviz.figures.heat_map_strip import plot_row_strip
from gradviz.figures.layer_flow import plot_layer_flow
from gradviz.figures.layer_flow_play import plot_layer_flow_play
from gradviz.figures.names import escape_plotly
from gradviz.figures.noise_over_time import plot_noise_over_time
from gradviz.figures.sawtooth import plot_sawtooth
from gradviz.figures.toy_path import plot_toy_loss, plot_toy_path
from gradviz.figures.update_ratio import plot_update_ratio
from gradviz.figures.waterfall import plot_waterfall

__all__ = [
    "escape_plotly",
    "plot_build_up",
    "plot_compared_curves",
    "plot_comparison",
    "plot_difference_map",
    "plot_distribution",
    "plot_distribution_ridge",
    "plot_evidence",
    "plot_flow_change",
    "plot_grad_flow",
    "plot_heat_map",
    "plot_layer_flow",
    "plot_layer_flow_play",
    "plot_noise_over_time",
    "plot_row_strip",
    "plot_sawtooth",
    "plot_toy_loss",
    "plot_toy_path",
    "plot_update_ratio",
    "plot_waterfall",
]

"""gradviz: see how gradients accumulate, micro-step by micro-step, and what is wrong.

Names are loaded when they are first used, so that `import gradviz` costs nothing and brings in
neither torch nor plotly nor streamlit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradviz.analysis import coherence as coherence
    from gradviz.analysis import noise_scale as noise_scale
    from gradviz.diagnostics import Finding as Finding
    from gradviz.diagnostics import diagnose as diagnose
    from gradviz.errors import GradvizError as GradvizError
    from gradviz.figures import plot_build_up as plot_build_up
    from gradviz.figures import plot_distribution as plot_distribution
    from gradviz.figures import plot_grad_flow as plot_grad_flow
    from gradviz.figures import plot_layer_flow as plot_layer_flow
    from gradviz.figures import plot_sawtooth as plot_sawtooth
    from gradviz.figures import plot_waterfall as plot_waterfall
    from gradviz.notebook import show as show
    from gradviz.recording import Recorder as Recorder
    from gradviz.recording import verify_accumulation as verify_accumulation
    from gradviz.recording import watch as watch
    from gradviz.store import Run as Run
    from gradviz.store import RunSummary as RunSummary
    from gradviz.store import list_runs as list_runs
    from gradviz.store import open_run as open_run

__version__ = "0.1.0"

_HOME = {
    "Finding": "gradviz.diagnostics",
    "GradvizError": "gradviz.errors",
    "Recorder": "gradviz.recording",
    "Run": "gradviz.store",
    "RunSummary": "gradviz.store",
    "coherence": "gradviz.analysis",
    "diagnose": "gradviz.diagnostics",
    "list_runs": "gradviz.store",
    "noise_scale": "gradviz.analysis",
    "open_run": "gradviz.store",
    "plot_build_up": "gradviz.figures",
    "plot_distribution": "gradviz.figures",
    "plot_grad_flow": "gradviz.figures",
    "plot_layer_flow": "gradviz.figures",
    "plot_sawtooth": "gradviz.figures",
    "plot_waterfall": "gradviz.figures",
    "show": "gradviz.notebook",
    "verify_accumulation": "gradviz.recording",
    "watch": "gradviz.recording",
}

__all__ = sorted(_HOME)  # pyright: ignore


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'gradviz' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def namesake() -> str | None:
    """Version of the unrelated distribution called exactly `gradviz`, if it is installed beside this one."""
    from importlib import metadata

    try:
        return metadata.version("gradviz")
    except metadata.PackageNotFoundError:
        return None


if (_other := namesake()) is not None:
    import warnings

    warnings.warn(
        f"An unrelated package called gradviz ({_other}) is installed; it and this one (gradviz-dashboard) "
        "overwrite each other's files. Run `gradviz doctor` to see what to do.",
        stacklevel=2,
    )

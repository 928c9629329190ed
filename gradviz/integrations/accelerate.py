"""A tracker for Hugging Face Accelerate."""

from __future__ import annotations

from typing import Any

from gradviz.integrations.batches import missing
from gradviz.recording import Recorder, watch

try:
    from accelerate.state import GradientState
    from accelerate.tracking import GeneralTracker
except ImportError as error:
    raise missing("accelerate", error) from error

OBSERVED = {"loss", "lr"}  # the recorder's own columns; what is logged comes late and often averaged


class GradvizTracker(GeneralTracker):
    """Records with `gradviz.watch`, beside the other trackers of an `Accelerator`.

    Give it to `Accelerator(log_with=...)` and, before or after `prepare`, the model and the optimizer to
    `watch`. Numbers that `accelerator.log` is given ride on the next micro-step; the loss is observed.
    `accelerator.end_training()` ends the recording. So does an exception where `watch` is used in a `with`.

    Args:
        **options: what `gradviz.watch` takes. `accumulation_steps` and `scaler` are known from the Accelerator.
    """

    name = "gradviz"
    requires_logging_directory = False
    main_process_only = False  # each process has gradients of its own

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options
        self._recorder = Recorder()

    @property
    def tracker(self) -> Recorder:
        """The recorder; one that does nothing before `watch`."""
        return self._recorder

    def watch(self, model: Any, optimizer: Any = None) -> Recorder:
        """Begin to record `model` and `optimizer`, prepared or not; returns the recorder."""
        steps = GradientState().num_steps  # 1 where the user accumulates without `accumulate()`
        known: dict[str, Any] = {
            "accumulation_steps": steps if steps > 1 else None,
            "scaler": getattr(optimizer, "scaler", None),
        }
        own = getattr(optimizer, "optimizer", optimizer)  # the prepared one has no hooks
        self._recorder = watch(model, own, **(known | self._options))
        return self._recorder

    def log(self, values: dict[str, Any], step: int | None = None, **_kwargs: Any) -> None:
        """Pass the numbers among `values` on; texts are left out."""
        numbers = {name: value for name, value in values.items() if not isinstance(value, str)}
        self._recorder.log(**{name: value for name, value in numbers.items() if name not in OBSERVED})

    def finish(self) -> None:
        """End the recording."""
        self._recorder.close()

"""A callback for Lightning, as `lightning` or as `pytorch_lightning`."""

from __future__ import annotations

from typing import Any

from gradviz.integrations.batches import missing, sizes
from gradviz.recording import Recorder, watch

try:
    from lightning.pytorch import Callback
except ImportError as absent:
    try:
        from pytorch_lightning import Callback
    except ImportError:
        raise missing("lightning", absent) from absent


class GradvizCallback(Callback):
    """Records with `gradviz.watch` from the begin of `Trainer.fit()` to its end, an exception included.

    Beside the gradients: the epoch and, where the batch tells, its samples and tokens.

    Args:
        **options: what `gradviz.watch` takes. `accumulation_steps` and `scaler` are known from the Trainer.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.recorder = Recorder()
        self._options = options

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Watch the module and the optimizers that it has configured."""
        declared = trainer.accumulate_grad_batches if pl_module.automatic_optimization else None
        known: dict[str, Any] = {
            "accumulation_steps": declared,
            "scaler": getattr(trainer.precision_plugin, "scaler", None),
        }
        self.recorder = watch(pl_module, trainer.optimizers, **(known | self._options))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A micro-step is about to begin."""
        self.recorder.log(epoch=trainer.current_epoch, **sizes(batch))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End the recording."""
        self.recorder.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the recording as crashed or, after Ctrl-C, as stopped."""
        self.recorder.__exit__(type(exception), exception, exception.__traceback__)
